"""`feature-backfill keys` on rows of ours, of the script, and on none."""

import json

import duckdb

from feature_backfill.cli import main
from feature_backfill.hours import HOUR, hour_range
from feature_backfill_tests.markets import LAST, TABLE
from feature_backfill_tests.script_rows import store_as_the_script


def keys(market, *flags):
    return main(["keys", "--feat-duckdb", str(market.target_database), *flags])


def test_a_key_of_ours_and_one_of_the_scripts(market, capsys):
    with duckdb.connect(market.source.database, read_only=True) as connection:
        ohlcv = connection.table(TABLE).df()
    theirs = market.feature_sets[0].model_copy(update={"key": "theirs"})
    store_as_the_script(market.target_database, theirs, ohlcv, hour_range(LAST - 3 * HOUR, LAST))
    where = ["--duckdb", "ohlcv.duckdb", "--feat-duckdb", "features.duckdb", "--table", TABLE]
    settings = ["--base-hours", "48", "--buffer-hours", "5", "--timeframes", "4H", "1H"]
    assert main(["run", *where, "--feature-key", "ours", *settings, "--start", str(LAST), "--end", str(LAST)]) == 0
    capsys.readouterr()
    assert keys(market) == 0
    ours, script = capsys.readouterr().out.splitlines()
    assert ours.startswith(
        f"ours: 1 hours, {LAST} .. {LAST}; 220 features on 4H 1H bars from 48+5 hours, market {TABLE}"
    )
    assert "missing values as null" in ours
    assert script.startswith(f"theirs: 4 hours, {LAST - 3 * HOUR} .. {LAST}; 220 features on 1H 4H bars, of an unknown")
    assert "missing values as nan" in script
    assert keys(market, "--json") == 0
    ours, script = json.loads(capsys.readouterr().out)
    assert (ours["timeframes"], ours["base_hours"], ours["buffer_hours"], ours["market"]) == (
        ["4H", "1H"],
        48,
        5,
        TABLE,
    )
    assert ours["names"][0] == "close_open_diff_current_4H"
    assert (script["hours"], script["base_hours"], script["market"], script["missing"]) == (4, None, None, "nan")
    assert script["json_bytes"] > 4 * 220 * 20


def test_a_database_without_features(market, capsys):
    assert main(["keys", "--feat-duckdb", str(market.source.database)]) == 0
    assert capsys.readouterr().out == f"no features in {market.source.database}\n"
    assert main(["keys", "--feat-duckdb", "nowhere.duckdb"]) == 2
    assert "no DuckDB file" in capsys.readouterr().err
