"""The sensor of alerts over a story of changes: real runs on a real instance, and a webhook that receives."""

import pandas as pd
import pytest
from dagster._core.test_utils import create_run_for_test

from feature_backfill.assets.ohlcv import ohlcv_news, report_news
from feature_backfill.automation import alerts as sensor_module
from feature_backfill.automation.alert_looks import _markets_of, _names
from feature_backfill.automation.alerts import MEMORY
from feature_backfill.automation.new_hours import new_hours_config
from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.dagster_internals.notes import read_notes
from feature_backfill.definitions import VALIDATION, defs
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, partition_key
from feature_backfill_tests.alerts.webhook import webhook
from feature_backfill_tests.automation.ticks import Sensor
from feature_backfill_tests.markets import (
    GAP,
    LAST,
    TABLE,
    append_ohlcv,
    configure,
    execute,
    execute_on_target,
    small_market,
)
from feature_backfill_tests.runs import run_range

SECRET = "hush-hush-9f27"


@pytest.fixture
def hook():
    with webhook() as hook:
        yield hook


@pytest.fixture
def story(tmp_path, monkeypatch, instance, hook, no_waiting_for_the_disk):
    return Story(tmp_path, monkeypatch, instance, hook)


class Story:
    """A market whose targets are the webhook, at a time that the story decides. Dagster begins anew at each look."""

    def __init__(self, folder, monkeypatch, instance, hook):
        self.folder, self.instance, self.hook, self.monkeypatch = folder, instance, hook, monkeypatch
        self.configs = folder / "configs"
        self.configure()
        monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(self.configs))
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        self.alert(f"json://{hook.address}/${{HOOK_SECRET}}")
        self.at(LAST + HOUR)
        self.message = ""

    def configure(self, **changes):
        gap = {"first": GAP, "last": GAP, "note": "known"}
        self.market = small_market(self.folder, known_gaps=[gap], **changes)
        configure(self.market, self.configs)

    def alert(self, *addresses):
        """Write alerts.yaml with targets of these addresses."""
        targets = "".join(f"  - {{name: target_{n}, url: '{address}'}}\n" for n, address in enumerate(addresses))
        (self.configs / "alerts.yaml").write_text(f"hours_without_row: 3\ntargets:\n{targets}")

    def at(self, time):
        self.now = time
        self.monkeypatch.setattr(sensor_module, "utc_now", lambda: self.now)

    def look(self):
        """The titles of the messages that arrive in a tick."""
        sensor = Sensor(self.instance, defs(), "alerts")
        sensor.tick()
        self.message = sensor.message
        return self.hook.titles()

    def look_at_messages(self):
        """The messages that arrive in a tick."""
        Sensor(self.instance, defs(), "alerts").tick()
        received, self.hook.received = self.hook.received, []
        return received

    def report(self):
        """Report what the OHLCV table has now, as the market's sensor does."""
        report_news(self.instance, self.market, ohlcv_news(self.instance, self.market))

    def fail(self):
        execute(self.market, f"ALTER TABLE {TABLE} RENAME TO elsewhere")
        assert not self.backfill()

    def check(self):
        job = defs().resolve_job_def("small__checks")
        return job.execute_in_process(instance=self.instance, raise_on_error=False).success

    def backfill(self, first=LAST - 120 * HOUR, last=LAST, **options):
        return run_range(self.instance, self.market, first, last, **options).success


def test_one_message_for_each_change_of_state(story):
    future = pd.Timestamp("2099-01-01")
    assert story.backfill()
    story.report()
    story.check()
    assert story.look() == []

    execute(story.market, f"INSERT INTO {TABLE} SELECT * REPLACE (? AS timestamp) FROM {TABLE} LIMIT 1", future)
    story.check()
    assert story.look() == ["small: check sanity of ohlcv is red"]
    story.check()
    assert story.look() == []  # still red
    execute(story.market, f"DELETE FROM {TABLE} WHERE timestamp = ?", future)
    story.check()
    assert story.look() == ["small: check sanity of ohlcv is green again"]

    execute(story.market, f"ALTER TABLE {TABLE} RENAME TO elsewhere")
    assert not story.backfill()
    assert story.look() == ["small: the run of small__short failed"]
    assert not story.backfill()
    assert story.look() == []  # still failed
    execute(story.market, f"ALTER TABLE elsewhere RENAME TO {TABLE}")
    assert story.backfill()
    assert story.look() == ["small: the run of small__short succeeds again"]

    execute(story.market, f"UPDATE {TABLE} SET volume = volume + 1 WHERE timestamp >= ?", LAST - HOUR)
    story.report()
    assert story.look() == ["small: OHLCV was restated"]
    assert story.look() == []
    execute(story.market, f"UPDATE {TABLE} SET volume = volume - 1 WHERE timestamp >= ?", LAST - HOUR)
    story.report()
    assert story.look() == ["small: OHLCV was restated"]

    story.configure(feature_sets=[{"key": "short", "base_hours": 24, "timeframes": ["1H", "4H"]}])
    assert story.look() == ["small: the contract of short is refused"]
    assert not story.backfill()
    assert story.look() == []  # the run failed for the reason that was told
    story.configure()
    assert story.look() == ["small: the contract of short is accepted again"]

    story.at(LAST + 4 * HOUR)
    assert story.look() == ["small: no fresh row of short"]
    story.at(LAST + 5 * HOUR)
    assert story.look() == []
    append_ohlcv(story.market, LAST + HOUR, 4)
    assert story.backfill(LAST + HOUR, LAST + 4 * HOUR)
    assert story.look() == ["small: rows of short are fresh again"]

    (story.configs / "small.yaml").write_text("name: small\nfirst_hour: someday\n")
    assert story.look() == ["small: its YAML is broken"]
    assert story.look() == []
    story.configure()
    assert story.look() == ["small: its YAML can be used again"]
    assert story.look() == []


def test_whose_fault_it_is_that_rows_are_late(story):
    assert story.backfill(last=LAST - 4 * HOUR)
    (message,) = story.look_at_messages()
    assert message["title"] == "small: no fresh row of short"
    assert f"the features are late, 4 hours behind {TABLE}" in message["message"]
    assert "has stopped" not in message["message"]
    assert story.backfill()
    assert story.look() == ["small: rows of short are fresh again"]
    story.at(LAST + 5 * HOUR)
    (message,) = story.look_at_messages()
    assert f"{TABLE} has stopped: it ends at {LAST}, 4 hours behind" in message["message"]
    assert "are late" not in message["message"]


def test_a_row_in_the_future_is_not_fresh(story):
    assert story.backfill()
    assert story.look() == []
    ahead = LAST + 6 * HOUR
    execute_on_target(story.market, "UPDATE features SET ts = ? WHERE ts = ?", ahead, LAST)
    story.at(LAST + 5 * HOUR)
    (message,) = story.look_at_messages()
    assert message["title"] == "small: no fresh row of short"
    assert "1 row is of an hour that has not closed" in message["message"]
    story.at(ahead + HOUR)
    assert story.look() == ["small: rows of short are fresh again"]  # the hour has closed, and the file is as it was


def test_what_changes_between_two_looks_is_one_message(story):
    story.backfill()
    hour = LAST - 100 * HOUR
    execute(story.market, f"UPDATE {TABLE} SET volume = volume + 1 WHERE timestamp = ?", hour)
    story.check()
    sent = story.look_at_messages()
    title = "small: check corrections of features/short is red, and 1 more change"
    assert [message["title"] for message in sent] == [title]
    first, second, when = sent[0]["message"].splitlines()
    assert first.startswith("check corrections of features/short is red: 121 rows, 48 stale")
    assert second.startswith("check parity of features/short is red: 60 of 121 rows recomputed")
    assert when == f"({story.now:%Y-%m-%d %H:%M} UTC)"
    assert sent[0]["type"] == "failure"


def test_a_run_that_dagster_retries_has_not_failed_for_good(story):
    execute(story.market, f"ALTER TABLE {TABLE} RENAME TO elsewhere")
    assert not story.backfill()
    (run,) = story.instance.get_runs()
    story.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})  # as where its process was lost
    assert story.look() == []
    assert not story.backfill()
    assert story.look() == ["small: the run of small__short failed"]


def test_checks_that_cannot_be_made_are_red(story):
    assert story.backfill()
    story.check()
    story.look()
    execute(story.market, f"ALTER TABLE {TABLE} RENAME TO elsewhere")
    story.check()
    (message,) = story.look_at_messages()
    assert message["title"].startswith("small: checks continuity of ohlcv, sanity of ohlcv, ")
    cause, _ = message["message"].splitlines()  # said once
    assert cause.startswith("could not be made: no table")
    assert "the run of small__checks" not in cause
    execute(story.market, f"ALTER TABLE elsewhere RENAME TO {TABLE}")
    story.check()
    (title,) = story.look()
    assert "is green again" in title


def test_a_target_that_is_down_fails_nothing_and_gets_its_message_later(story, hook):
    with webhook() as other:
        story.alert(f"json://{hook.address}/${{HOOK_SECRET}}", f"json://{other.address}")
        hook.status = 500
        story.fail()
        assert story.look() == []
        assert other.titles() == ["small: the run of small__short failed"]
    wait = "target_0: 1 message to be tried again at 2025-01-21 00:02 UTC"
    assert story.message.startswith(f"1 change; {wait}: ") and "error=500" in story.message
    assert "target_1: 1 sent" in story.message
    hook.status = 200
    assert story.look() == []  # it is not tried before its time
    assert story.message == f"no change; {wait}"
    story.at(story.now + pd.Timedelta(minutes=2))
    assert story.look() == ["small: the run of small__short failed"]
    assert story.look() == []


def test_a_message_is_given_up_after_a_day(story, hook):
    hook.status = 500
    story.fail()
    story.look()
    story.at(story.now + pd.Timedelta(hours=25))
    hook.status = 200
    assert story.look() == []
    assert story.message == "no change; target_0: 1 message given up after 1 day or as the oldest of too many"


def test_nobody_can_be_reached(story):
    with webhook() as gone:
        address = gone.address
    story.alert(f"json://{address}/${{HOOK_SECRET}}", "nosuch://somewhere")
    story.fail()
    assert story.look() == []
    assert "target_0: 1 message to be tried again" in story.message
    assert (
        "target_1: 1 message to be tried again" in story.message
        and "no such address that begins with nosuch" in story.message
    )


def test_no_secret_is_kept_or_said(story, dagster_home, hook, capfd, caplog):
    hook.status = 500
    story.fail()
    story.look()
    (story.configs / "alerts.yaml").write_text(f"targets:\n  - {{name: a, url: 'json://{SECRET}'\n")
    story.look()
    assert "is not YAML, in line" in story.message
    story.alert("json://${NOT_THERE}/" + SECRET)
    story.look()
    assert "targets.0.url: environment variable NOT_THERE is not set" in story.message
    assert "at least" not in story.message  # that no target is left is no second fault
    said = capfd.readouterr()
    for text in (said.out, said.err, caplog.text, story.message, read_notes(story.instance, [MEMORY]).get(MEMORY)):
        assert SECRET not in text
    assert not [file for file in dagster_home.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]


def test_a_target_that_cannot_be_used_does_not_silence_the_others(story, hook):
    story.alert("json://${NOT_THERE}/x", f"json://{hook.address}")
    story.fail()
    assert story.look() == ["small: the run of small__short failed"]
    problem = f"{story.configs / 'alerts.yaml'}: targets.0.url: environment variable NOT_THERE is not set"
    assert story.message == f"1 change; {problem}; target_1: 1 sent"


def test_a_target_is_told_of_its_markets_only(story, hook):
    (story.configs / "alerts.yaml").write_text(
        f"targets:\n  - {{name: a, url: 'json://{hook.address}', markets: [another]}}\n"
    )
    story.fail()
    assert story.look() == []
    assert story.message == "1 change"


def test_dagsters_validation_refuses_a_bad_address(story, monkeypatch):
    story.alert("nosuch://somewhere")
    assert "alerts" in {sensor.name for sensor in defs().get_repository_def().sensor_defs}
    monkeypatch.setenv(VALIDATION, "1")
    with pytest.raises(UserError, match=r"targets\.target_0: Apprise takes no such address"):
        defs()


def test_without_alerts_yaml_there_is_no_sensor(story):
    (story.configs / "alerts.yaml").unlink()
    assert "alerts" not in {sensor.name for sensor in defs().get_repository_def().sensor_defs}


def test_a_shared_run_is_told_of_the_markets_that_it_failed_on(story):
    hours = new_hours_config({"small__short": partition_key(LAST), "other__short": partition_key(LAST)})
    run = create_run_for_test(story.instance, job_name=NEW_HOURS, run_config=hours)
    other = story.market.model_copy(update={"name": "other"})
    third = story.market.model_copy(update={"name": "third"})
    assert _markets_of(run, [story.market, other, third]) == [story.market, other]
    reason = "1 of 2 markets failed: other: no folder"
    assert _names(reason, "other")
    assert not _names(reason, "small")
    assert not _names(reason, "her")
