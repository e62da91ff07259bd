"""A market's table filled from an exchange's API, through the real ccxt."""

import pandas as pd
import pytest

from feature_backfill.errors import RunError
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources import exchange
from feature_backfill.store.database import connect
from feature_backfill_tests.exchange.faults import down, short_page
from feature_backfill_tests.exchange.scene import FIRST, NOW, OKX, OKX_SWAP, PERPETUAL, SPOT, TABLE, served_scene

CLOSED = NOW.floor("h") - HOUR
HOURS = len(hour_range(FIRST, CLOSED))
PAGE_HOURS = {"perpetual": 500, "spot": 1000, "okx": 300, "okx swap": 300}


@pytest.mark.parametrize(
    ("kind", "source"), list(zip(PAGE_HOURS, [PERPETUAL, SPOT, OKX, OKX_SWAP], strict=True)), ids=list(PAGE_HOURS)
)
def test_the_table_is_filled_with_closed_hours_page_by_page_and_kept_current(scene, kind, source):
    brought = scene.fetch(**source)
    assert (brought.new, brought.changed, brought.same) == ({"API": HOURS}, 0, 0)
    assert list(brought.hours) == list(hour_range(FIRST, CLOSED))
    scene.assert_table_is_what_the_exchange_holds()
    pages = scene.exchange.asked("klines") + scene.exchange.asked("candles")
    assert len(pages) == -(-HOURS // PAGE_HOURS[kind])
    assert all(int(page.query["limit"]) <= PAGE_HOURS[kind] for page in pages)

    scene.later(hours=2)
    brought = scene.fetch(**source)
    assert list(brought.hours) == [CLOSED + HOUR, CLOSED + 2 * HOUR]
    assert (brought.same, len(brought.restated), len(brought.absent)) == (46, 0, 0)
    scene.assert_table_is_what_the_exchange_holds()
    assert len(scene.exchange.asked("klines") + scene.exchange.asked("candles")) == len(pages) + 1


def test_only_the_exchanges_own_time_says_which_hours_have_closed(scene):
    """Its clock is years behind ours, and by it the hour closes while we look on."""
    scene.served.clock.set(pd.Timestamp("2025-01-04 04:59:59.4"))
    scene.fetch()
    assert scene.stored()["timestamp"].iloc[-1] == pd.Timestamp("2025-01-04 03:00")
    scene.served.clock.set(pd.Timestamp("2025-01-04 05:00:00"))
    assert list(scene.fetch().hours) == [pd.Timestamp("2025-01-04 04:00")]
    scene.assert_table_is_what_the_exchange_holds()


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_is_off_by_ten_minutes_changes_nothing(tmp_path, minutes):
    """Ours and the exchange's differ, and an hour lies between the two."""
    ours = pd.Timestamp.now(tz="UTC").tz_localize(None).floor("h")
    with served_scene(tmp_path, ours - 60 * HOUR, ours + pd.Timedelta(minutes=minutes)) as scene:
        scene.fetch(ours - 60 * HOUR)
        assert scene.stored()["timestamp"].iloc[-1] == (ours - HOUR if minutes > 0 else ours - 2 * HOUR)
        scene.assert_table_is_what_the_exchange_holds(ours - 60 * HOUR)


@pytest.mark.parametrize("ahead", [pd.Timedelta(minutes=50), pd.Timedelta(days=400)])
def test_an_exchange_whose_time_is_far_ahead_is_not_believed(tmp_path, ahead):
    now = pd.Timestamp.now(tz="UTC").tz_localize(None)
    ours = now.floor("h")
    with served_scene(tmp_path, ours - 60 * HOUR, now + ahead) as scene:
        with pytest.raises(RunError, match="minutes ahead of this machine's; set the clock"):
            scene.fetch(ours - 60 * HOUR)
        assert not (scene.folder / "ohlcv.duckdb").exists() or scene.stored().empty


def test_what_an_exchange_that_was_down_for_two_hours_has_missed_comes_in_one_fetch(scene, short_pauses):
    scene.fetch()
    scene.faults.switch_on(down)
    for _ in range(2):
        scene.later(hours=1)
        with pytest.raises(RunError, match="no connection"):
            scene.fetch()
    scene.faults.clear()
    assert list(scene.fetch().hours) == [CLOSED + HOUR, CLOSED + 2 * HOUR]
    scene.assert_table_is_what_the_exchange_holds()


def test_rows_say_when_they_were_first_and_last_seen_by_the_exchanges_time(scene):
    scene.fetch()
    scene.later(hours=1)
    scene.fetch()
    with scene.opened() as connection:
        rows = connection.execute(f"SELECT first_seen, last_seen FROM {TABLE} ORDER BY timestamp").df()
    assert rows["first_seen"].iloc[-2].floor("h") == NOW.floor("h")
    assert rows["first_seen"].iloc[-1].floor("h") == NOW.floor("h") + HOUR
    again = rows["last_seen"] >= NOW + HOUR
    assert list(again[again].index) == list(range(HOURS + 1 - 48, HOURS + 1))


def test_restated_hours_are_replaced_kept_and_reported(scene):
    scene.fetch()
    old = scene.stored()
    late, early = CLOSED - 5 * HOUR, CLOSED - 60 * HOUR
    scene.served.restate(late, 1.25)
    scene.served.restate(early, 2.5)
    brought = scene.fetch()
    assert (list(brought.restated), list(brought.hours), brought.changed) == ([late], [late], 1)
    kept = scene.restated()
    assert list(kept["timestamp"]) == [late]
    assert kept["volume"].item() == old.loc[old["timestamp"] == late, "volume"].item()
    assert list(scene.fetch(refetch_hours=72).restated) == [early]
    scene.assert_table_is_what_the_exchange_holds()


def test_without_refetched_hours_only_what_lacks_is_asked_for(scene):
    scene.fetch(refetch_hours=0)
    asked = scene.klines_asked()
    assert scene.fetch(refetch_hours=0).same == 0
    assert scene.klines_asked() == asked


def test_hours_that_the_exchange_lacks_are_asked_for_for_a_day_and_then_given_up(scene):
    gap = FIRST + 100 * HOUR
    lost = [scene.served.remove(gap), scene.served.remove(gap + HOUR)]
    brought = scene.fetch()
    assert (list(brought.absent), list(brought.for_good)) == ([gap, gap + HOUR], [])
    scene.later(hours=25)
    scene.served.put_back(lost[1])
    brought = scene.fetch()
    assert (list(brought.absent), list(brought.for_good)) == ([gap], [gap])
    assert gap + HOUR in brought.hours
    assert scene.absent()["for_good"].tolist() == [True]

    scene.later(hours=1)
    scene.served.put_back(lost[0])
    asked = scene.klines_asked()
    assert gap not in scene.fetch().hours
    assert scene.klines_asked() == asked + 1
    assert list(scene.fetch(since=gap).hours) == [gap]
    assert scene.absent().empty
    scene.assert_table_is_what_the_exchange_holds()


def test_a_page_that_ends_early_is_continued(scene):
    scene.faults.switch_on(short_page, "klines", times=3)
    scene.fetch()
    scene.assert_table_is_what_the_exchange_holds()


def test_a_long_gap_is_crossed(scene):
    """Longer than a page of OKX, which answers with an empty one."""
    for hour in hour_range(FIRST + 10 * HOUR, FIRST + 700 * HOUR):
        scene.served.remove(hour)
    assert len(scene.fetch(**OKX).absent) == 691
    scene.assert_table_is_what_the_exchange_holds()


def test_years_before_the_first_candle_take_one_request_of_an_exchange_that_skips_them(scene):
    years_before = FIRST - pd.Timedelta(days=3 * 365)
    brought = scene.fetch(years_before)
    assert list(brought.absent) == list(hour_range(years_before, FIRST - HOUR))
    assert scene.klines_asked() == -(-HOURS // PAGE_HOURS["perpetual"])
    scene.assert_table_is_what_the_exchange_holds()


def test_bad_candles_are_refused_and_said(scene):
    scene.served.restate(FIRST + 3 * HOUR, -1.0)
    brought = scene.fetch()
    assert brought.warnings == ["bad candles, not stored: 2024-12-01 03:00 volume is negative"]
    assert FIRST + 3 * HOUR not in set(scene.stored()["timestamp"])


def test_the_database_is_free_while_the_exchange_is_waited_for(scene):
    scene.fetch()
    scene.later(hours=1)
    taken = []

    def another_writes(answer):
        with connect(scene.folder / "ohlcv.duckdb", read_only=False, patience=0) as connection:
            taken.append(connection.execute(f"SELECT count(*) FROM {TABLE}").fetchall()[0][0])
        return answer

    scene.faults.switch_on(another_writes)
    scene.fetch()
    assert taken == [HOURS] * 3


def test_an_hour_is_awaited_until_the_exchange_has_its_candle(scene):
    """It closes a second later, and its candle comes late."""
    scene.fetch()
    scene.served.clock.set(pd.Timestamp("2025-01-04 06:59:59"))
    awaited = pd.Timestamp("2025-01-04 06:00")
    late = scene.served.remove(awaited)
    looks = []

    def comes_at_the_second_look(answer):
        looks.append(answer)
        if len(looks) == 1:
            scene.served.put_back(late)
        return answer

    scene.faults.switch_on(comes_at_the_second_look, "v1/klines")
    assert list(scene.fetch(awaited=awaited).hours) == [awaited - HOUR, awaited]
    assert len(looks) == 3


def test_an_hour_that_does_not_come_is_awaited_for_a_limited_time(scene, monkeypatch):
    monkeypatch.setattr(exchange, "AWAITED_S", 0.5)
    monkeypatch.setattr(exchange, "POLL_EVERY_S", 0.1)
    scene.fetch()
    scene.later(hours=1)
    scene.served.remove(CLOSED + HOUR)
    brought = scene.fetch(awaited=CLOSED + HOUR)
    assert (list(brought.hours), list(brought.absent)) == ([], [CLOSED + HOUR])
