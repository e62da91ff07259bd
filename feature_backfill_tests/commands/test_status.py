"""`status` and `list`: what a person reads in the terminal, and what a program reads."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from feature_backfill.assets.decisions import standing_of
from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.cli import main
from feature_backfill.commands.shared.overview import overviews
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import last_closed_hour
from feature_backfill_tests.holders import held_by_another_process
from feature_backfill_tests.markets import FIRST, LAST, configure, execute, execute_on_target, ohlcv_of, small_market
from feature_backfill_tests.runs import run_range

BEHIND = int((last_closed_hour() - LAST) / pd.Timedelta(hours=1))


@pytest.fixture
def home(tmp_path, monkeypatch, dagster_home):
    """A folder with two markets, one of which has rows, and a broken YAML."""
    monkeypatch.chdir(tmp_path)
    for name in ("good", "new"):
        (tmp_path / name).mkdir()
        configure(small_market(tmp_path / name, name=name), tmp_path / "configs")
    (tmp_path / "configs" / "bad.yaml").write_text("name: bad\nfirst_hour: someday\n")
    return tmp_path


@pytest.fixture
def good(home, instance):
    """The market with rows, all but the last 3 hours of OHLCV."""
    market = small_market(home / "good", name="good")
    assert run_range(instance, market, FIRST, LAST - pd.Timedelta(hours=3)).success
    return market


def lines(capsys):
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def objects(capsys, *arguments):
    assert main(["status", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_market_is_a_line_and_what_cannot_be_used_says_so(good, capsys):
    capsys.readouterr()
    assert main(["status"]) == 0
    heading, _, with_rows, without, broken, unmade = lines(capsys)
    assert " ".join(heading.split()) == "market feature key hours newest (UTC) behind missing stale last check"
    assert " ".join(with_rows.split()) == (
        f"good short 382 2025-01-20 20:00 {BEHIND + 3:,} (OHLCV {BEHIND:,})"
        " 3 can be computed, 47 warm-up, 47 after a gap, 1 no row in OHLCV ? ?"
    )
    assert " ".join(without.split()) == (
        "new short 0 nothing stored - 385 can be computed, 47 warm-up, 47 after a gap, 1 no row in OHLCV ? ?"
    )
    assert broken.startswith("bad does not run: ") and "first_hour" in broken
    unmade_target = good.target_database.parents[1] / "new" / "features.duckdb"
    assert unmade == f"new: {unmade_target} does not exist yet; the first run makes it"


def test_a_row_of_an_hour_that_has_not_closed_does_not_hide_how_late_the_others_are(good, capsys):
    ahead = last_closed_hour() + pd.Timedelta(days=30)
    execute_on_target(good, "INSERT INTO features SELECT feature_key, ?, features, now() FROM features LIMIT 1", ahead)
    capsys.readouterr()
    assert main(["status", "good"]) == 0
    _, _, line, remark = lines(capsys)
    assert " ".join(line.split()).startswith(f"good short 383 2025-01-20 20:00 {BEHIND + 3:,} (OHLCV")
    assert remark.startswith(
        f"short of good: 1 row is of an hour that has not closed, the newest {ahead:%Y-%m-%d %H:%M}"
    )
    (line,) = objects(capsys, "good")
    assert (line["newest"], line["hours_not_closed"]) == ("2025-01-20T20:00:00", 1)
    standing = standing_of(good, good.feature_sets[0])
    assert standing.hours_behind == BEHIND + 3
    assert list(standing.ahead) == [ahead]


def test_the_reasons_are_those_of_a_plan(good):
    (line,) = overviews([good], {})
    states = dict(standing_of(good, good.feature_sets[0]).counts.states)
    assert states.pop("stored") == line.hours
    assert line.missing.states == states


def test_a_bad_row_is_a_reason_too(good):
    execute(good, "UPDATE ohlcv_small_1h SET high = 'nan'::DOUBLE WHERE timestamp = ?", LAST - pd.Timedelta(hours=2))
    (line,) = overviews([good], {})
    assert line.missing.states == {"warm-up": 47, "after a gap": 47, "bad row": 3, "no row in OHLCV": 1}


def test_a_program_reads_the_same(good, instance, capsys):
    build_definitions([good]).resolve_job_def("good__checks").execute_in_process(
        instance=instance, raise_on_error=False
    )
    capsys.readouterr()
    (line,) = objects(capsys, "good")
    made = pd.Timestamp(line["last_check"].pop("made"))
    assert pd.Timedelta(0) <= pd.Timestamp.now("UTC").tz_localize(None) - made < pd.Timedelta(hours=1)
    assert line == {
        "market": "good",
        "feature_key": "short",
        "hours": 382,
        "oldest": "2025-01-02T23:00:00",
        "newest": "2025-01-20T20:00:00",
        "hours_not_closed": 0,
        "hours_behind": BEHIND + 3,
        "ohlcv_hours_behind": BEHIND,
        "missing": {"can be computed": 3, "warm-up": 47, "after a gap": 47, "no row in OHLCV": 1},
        "stale": 0,
        "last_check": {"failed": ["freshness"], "warned": ["continuity"], "not_made": 0},
        "error": None,
    }
    execute(good, "UPDATE ohlcv_small_1h SET volume = volume + 1 WHERE timestamp = ?", LAST - pd.Timedelta(hours=10))
    build_definitions([good]).resolve_job_def("good__checks").execute_in_process(
        instance=instance, raise_on_error=False
    )
    capsys.readouterr()
    (line,) = objects(capsys, "good")
    assert line["stale"] == 8
    assert line["last_check"]["failed"] == ["corrections", "freshness", "parity"]


def test_all_lines_have_the_same_fields(home, capsys):
    every = objects(capsys)
    assert [line["market"] for line in every] == ["good", "new", "bad"]
    assert len({tuple(line) for line in every}) == 1
    assert [line["error"] is None for line in every] == [True, True, False]
    assert objects(capsys, "bad") == every[2:]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda database: database.unlink(), "no DuckDB file"),
        (lambda database: database.write_bytes(b"x" * 20_000), "cannot open"),
        (lambda database: (database.unlink(), database.mkdir()), "is a directory"),
    ],
)
def test_a_database_that_cannot_be_read_is_a_line(home, capsys, damage, said):
    damage(home / "good" / "ohlcv.duckdb")
    assert main(["status"]) == 0
    _, _, unreadable, readable, error, *_ = lines(capsys)
    assert " ".join(unreadable.split()) == "good short ? cannot be read, see below"
    assert "385 can be computed" in readable
    assert error.startswith("good: ") and said in error


def test_a_database_that_is_being_written_is_a_line(home, capsys, monkeypatch):
    monkeypatch.setattr("feature_backfill.commands.shared.overview.PATIENCE_S", 0.1)
    with held_by_another_process(home / "good" / "ohlcv.duckdb"):
        good, new, _ = objects(capsys)
    assert "is in use" in good["error"]
    assert new["error"] is None


def test_a_name_that_is_unknown_is_refused(home, capsys):
    assert main(["status", "nobody"]) == 2
    assert "no market nobody in configs/, which has good, new" in capsys.readouterr().err


def test_records_of_dagster_that_cannot_be_read_leave_the_rest(good, instance, dagster_home, capsys):
    report_ohlcv(instance, good, pd.DatetimeIndex(ohlcv_of(good)["timestamp"])[:1])
    index = dagster_home / "history" / "runs" / "index.db"
    assert index.exists()
    capsys.readouterr()
    index.write_bytes(b"x" * 5000)
    assert main(["status", "good"]) == 0
    assert "nothing is known of checks: " in lines(capsys)[-1]
    (line,) = objects(capsys, "good")
    assert (line["hours"], line["last_check"]) == (382, None)


def test_without_records_of_dagster_nothing_is_known_of_checks(home, capsys):
    assert main(["status", "new"]) == 0
    assert lines(capsys)[-1].startswith("nothing is known of checks: Dagster keeps no SQLite event log in ")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("storage:\n  postgres: {postgres_url: {env: URL}}\n", "keeps its records in postgres; look at the UI"),
        (
            "event_log_storage: {module: feature_backfill.event_log_postgres, class: BatchedPostgresEventLogStorage}\n",
            "keeps its records in BatchedPostgresEventLogStorage",
        ),
        ("storage: [\n", "dagster.yaml cannot be read: "),
        ("event_log_storage: {module: x}\n", "dagster.yaml cannot be read: "),
    ],
)
def test_the_checks_of_an_event_log_that_is_no_longer_used_are_not_shown(
    good, instance, dagster_home, capsys, settings, said
):
    report_ohlcv(instance, good, pd.DatetimeIndex(ohlcv_of(good)["timestamp"])[:1])
    assert (dagster_home / "history" / "runs" / "index.db").exists()
    (dagster_home / "dagster.yaml").write_text(settings)
    capsys.readouterr()
    assert main(["status", "good"]) == 0
    last = lines(capsys)[-1]
    assert last.startswith("nothing is known of checks: ") and said in last


def test_two_files_of_one_name_are_one_line(home, capsys):
    text = (home / "configs" / "good.yaml").read_text()
    (home / "configs" / "again.yaml").write_text(text)
    for command in ("status", "list"):
        assert main([command]) == 0
        said = lines(capsys)
        assert len(said) == len(set(said))


def test_what_is_too_much_is_said_of_the_command(home, capsys):
    with pytest.raises(SystemExit):
        main(["status", "good", "new"])
    assert capsys.readouterr().err == (
        "feature-backfill status: unrecognized arguments: new; see feature-backfill status --help\n"
    )


def test_a_program_reads_what_is_configured(home, capsys):
    assert main(["list", "--json"]) == 0
    good, new, bad = json.loads(capsys.readouterr().out)
    assert (good["market"], good["error"], bad["market"]) == ("good", None, "bad")
    assert good["target_database"] == str(home / "good" / "features.duckdb")
    (feature_set,) = new["feature_sets"]
    assert (feature_set["feature_key"], feature_set["features"], feature_set["base_hours"]) == ("short", 220, 48)
    assert tuple(good) == tuple(bad) and "first_hour" in bad["error"]


def test_list_names_what_is_configured(home, capsys):
    assert main(["list"]) == 0
    heading, _, good, new, broken = lines(capsys)
    assert " ".join(heading.split()) == "market OHLCV feature key a row"
    words = " ".join(good.split())
    assert words == "good ohlcv_small_1h, filled by somebody else short 220 features, 1H 4H, 48+0 hours"
    assert new.split()[0] == "new" and "bad.yaml" in broken


def test_status_waits_for_no_import_of_dagster(home):
    code = "import sys; from feature_backfill.cli import main; main(['status']); print('dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
