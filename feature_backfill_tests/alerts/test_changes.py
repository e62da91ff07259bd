"""What counts as a change, how it is worded, and what waits for how long."""

import pandas as pd

from feature_backfill.alerts.changes import Finding, Kind, State, changes
from feature_backfill.alerts.outbox import MOST_WAITING, Memory, Waiting, deliver
from feature_backfill.alerts.wording import message_of, trial_message
from feature_backfill.config import Alerts

NOW = pd.Timestamp("2025-01-01 08:00")
TARGETS = Alerts(targets=[{"name": "a", "url": "print"}, {"name": "b", "url": "print", "markets": ["eth"]}]).targets


def check(state, about="sanity of ohlcv", market="btc", details=""):
    return Finding(market, Kind.CHECK, about, state, details)


def states(standing, *found):
    return [finding.state for finding in changes(standing, found)]


def test_only_a_change_of_state_is_one():
    standing = {}
    assert states(standing, check(State.GOOD)) == []  # as long as nothing is known, all is well
    assert states(standing, check(State.BAD)) == [State.BAD]
    assert states(standing, check(State.BAD)) == []
    assert states(standing) == []  # nothing found: nothing changes
    assert states(standing, check(State.WARNING)) == [State.WARNING]
    assert states(standing, check(State.GOOD), check(State.BAD)) == [State.BAD]  # the last one counts
    assert states(standing, check(State.BAD), check(State.GOOD)) == [State.GOOD]
    assert standing == {}


def test_news_is_told_each_time():
    news = Finding("btc", Kind.RESTATED, "OHLCV", State.NEWS)
    standing = {}
    assert states(standing, news) == states(standing, news) == [State.NEWS]
    assert standing == {}


def test_the_words_of_one_and_of_several_changes():
    bad = check(State.BAD, details="1 bad row")
    one = message_of("btc", [bad], NOW)
    assert (one.title, one.body) == ("btc: check sanity of ohlcv is red", "1 bad row\n(2025-01-01 08:00 UTC)")
    two = message_of("btc", [check(State.GOOD, "parity of x"), bad], NOW)
    assert two.title == "btc: check sanity of ohlcv is red, and 1 more change"
    assert two.body.splitlines()[:2] == ["check sanity of ohlcv is red: 1 bad row", "check parity of x is green again"]
    assert two.state is State.BAD
    assert len(message_of("btc", [check(State.BAD, details="x" * 9999)], NOW).body) < 600


def test_checks_that_stand_alike_for_one_reason_are_one_line():
    cause = "could not be made: no database"
    abouts = ("parity of x", "sanity of ohlcv", "corrections of x")
    found = [check(State.BAD, about, details=cause) for about in abouts]
    message = message_of("btc", [*found, check(State.WARNING, "completeness of x", details="a hole")], NOW)
    assert message.title == "btc: checks sanity of ohlcv, parity of x, corrections of x are red, and 1 more change"
    assert message.body.splitlines()[:2] == [
        f"checks sanity of ohlcv, parity of x, corrections of x are red: {cause}",
        "check completeness of x warns: a hole",
    ]
    green = message_of("btc", [check(State.GOOD, about) for about in abouts], NOW)
    assert green.title.endswith("is green again, and 2 more changes")


def test_a_recovery_with_news_is_a_success():
    news = Finding("btc", Kind.RESTATED, "OHLCV", State.NEWS, "other values")
    assert message_of("btc", [news, check(State.GOOD)], NOW).state is State.GOOD


def test_each_target_waits_for_what_it_wants():
    memory = Memory(waiting={"gone": Waiting(messages=[trial_message(None, NOW)])})
    memory.put(TARGETS, [check(State.BAD), check(State.BAD, market="eth"), check(State.BAD, "parity")], NOW)
    titles = {name: [message.title for message in each.messages] for name, each in memory.waiting.items()}
    assert titles == {
        "a": ["btc: check sanity of ohlcv is red, and 1 more change", "eth: check sanity of ohlcv is red"],
        "b": ["eth: check sanity of ohlcv is red"],
    }


def test_what_waits_is_bounded():
    messages = [trial_message(str(n), NOW) for n in range(MOST_WAITING + 5)]
    memory = Memory(waiting={"a": Waiting(messages=messages)})
    assert memory.drop_old(NOW) == ["a: 5 messages given up after 1 day or as the oldest of too many"]
    assert memory.waiting["a"].messages == messages[5:]


def test_messages_go_in_order_until_one_does_not_arrive():
    waiting, took, saved = Waiting(messages=[trial_message(str(n), NOW) for n in range(3)]), [], []
    answers = iter([None, "down", None, None])

    def send(_, message):
        took.append(message.title[0])
        return next(answers)

    def tick(now, in_time=True):
        return deliver(
            TARGETS[0],
            waiting,
            now,
            send,
            lambda failures: failures * pd.Timedelta(minutes=2),
            lambda: saved.append(len(waiting.messages)),
            lambda: in_time,
        )

    assert tick(NOW) == "a: 1 sent, 2 messages to be tried again at 2025-01-01 08:02 UTC: down"
    assert saved == [2, 2]
    assert tick(NOW) == "a: 2 messages to be tried again at 2025-01-01 08:02 UTC"
    late = NOW + pd.Timedelta(minutes=2)
    assert tick(late, in_time=False) == "a: 0 sent, 2 messages left for the next look"
    assert tick(late) == "a: 2 sent"
    assert took == ["0", "1", "1", "2"]
    assert tick(late) == "" and waiting == Waiting()


def test_a_clock_that_was_set_back_keeps_nothing_waiting():
    waiting = Waiting(messages=[trial_message(None, NOW)], failures=1, due=(NOW + pd.Timedelta(days=9)).isoformat())
    minute = pd.Timedelta(minutes=1)
    said = deliver(TARGETS[0], waiting, NOW, lambda *_: None, lambda _: minute, lambda: None, lambda: True)
    assert said == "a: 1 sent"
