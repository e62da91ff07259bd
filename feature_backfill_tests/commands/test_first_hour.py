"""A market whose first_hour is later than the first row of its table, or has not come yet."""

import pandas as pd
import pytest

from feature_backfill.cli import main
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill_tests.markets import LAST, TABLE, small_market, stored

BEGIN = LAST - 20 * HOUR
YAML = f"""\
name: small
first_hour: {{first_hour}}
source: {{{{database: ../ohlcv.duckdb, table: {TABLE}}}}}
target_database: ../features.duckdb
feature_sets:
  - {{{{key: short, base_hours: 48, timeframes: [1H, 4H]}}}}
"""
KEY = ("--feature-key", "short")


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    begins_at(tmp_path, BEGIN)
    return small_market(tmp_path)


def begins_at(folder, first_hour):
    (folder / "configs" / "small.yaml").write_text(YAML.format(first_hour=f"'{first_hour}'"))


def window(first, last):
    return "--start", str(first), "--end", str(last)


@pytest.mark.parametrize(
    "hours",
    [
        window(BEGIN - HOUR, LAST),
        window(BEGIN - 5 * HOUR, BEGIN - HOUR),
        ("--end", str(BEGIN - HOUR)),
        ("--mode", "ts_list", "--ts", str(BEGIN - HOUR), str(LAST)),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_hours_before_the_first_are_refused(market, capsys, hours, dry):
    assert main(["run", *KEY, *hours, *dry]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"market small has the hours from {BEGIN} to {last_closed_hour()}" in line
    assert "set an earlier first_hour" in line
    assert stored(market).empty


@pytest.mark.parametrize("mode", ["window", "last_from_features"])
def test_a_range_without_a_start_begins_with_the_first_hour(market, mode):
    assert main(["run", *KEY, "--mode", mode, "--end", str(LAST)]) == 0
    assert list(stored(market)["ts"]) == list(hour_range(BEGIN, LAST))


def test_last_from_features_goes_on_from_the_first_hour_where_older_rows_are_stored(market, tmp_path):
    begins_at(tmp_path, BEGIN - 10 * HOUR)
    old = hour_range(BEGIN - 9 * HOUR, BEGIN - 5 * HOUR)
    assert main(["run", *KEY, *window(old[0], old[-1])]) == 0
    begins_at(tmp_path, BEGIN)
    assert main(["run", *KEY, "--mode", "last_from_features", "--end", str(LAST)]) == 0
    assert list(stored(market)["ts"]) == [*old, *hour_range(BEGIN, LAST)]


@pytest.mark.parametrize("ahead", [1, 24 * 365])
@pytest.mark.parametrize("hours", [(), ("--mode", "last_from_features"), window(LAST, LAST)])
def test_a_first_hour_that_has_not_closed_is_refused(market, tmp_path, capsys, ahead, hours):
    first_hour = last_closed_hour() + ahead * HOUR
    begins_at(tmp_path, first_hour)
    assert main(["run", *KEY, *hours]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"its first_hour is {first_hour}" in line


@pytest.fixture
def with_older_rows(market, tmp_path):
    """A market with 30 stored hours, of which 10 are before its first hour."""
    begins_at(tmp_path, BEGIN - 10 * HOUR)
    assert main(["run", *KEY, *window(BEGIN - 10 * HOUR, LAST - HOUR)]) == 0
    begins_at(tmp_path, BEGIN)
    return market


def test_selftest_compares_the_hours_since_the_first(with_older_rows, capsys):
    assert main(["selftest", "--compare-key", "short", "--base-hours", "48", "--timeframes", "1H", "4H"]) == 0
    assert "passed: 20 hours agree with short" in capsys.readouterr().out


def test_selftest_of_older_hours_is_refused(with_older_rows, capsys):
    settings = ["--base-hours", "48", "--timeframes", "1H", "4H"]
    assert main(["selftest", "--compare-key", "short", *settings, "--start", str(BEGIN - HOUR)]) == 2
    assert f"market small has the hours from {BEGIN}" in capsys.readouterr().err


def test_recompute_stale_looks_at_the_hours_since_the_first(with_older_rows, tmp_path, capsys):
    assert main(["recompute-stale", *KEY]) == 0
    assert "0 of 20 stored hours are stale" in capsys.readouterr().out
    begins_at(tmp_path, last_closed_hour() + pd.Timedelta(days=1))
    assert main(["recompute-stale", *KEY]) == 2
    assert "nothing is stored under short" in capsys.readouterr().err
