"""What `feature-backfill run` refuses, and its exit codes when it fails."""

import pytest

from feature_backfill.hours import HOUR
from feature_backfill_tests.commands.calls import run
from feature_backfill_tests.markets import (
    FIRST,
    LAST,
    TABLE,
    execute_on_target,
    stored,
    window,
)


def bad_list(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    return "--feature-list", tmp_path / "bad.json"


REFUSED = {
    "timeframe '5H' does not divide a day": lambda _: ("--timeframes", "5H"),
    "not a timestamp: 'yesterday-ish'": lambda _: ("--start", "yesterday-ish"),
    "not a timestamp: 'x', 'y'": lambda _: ("--mode", "ts_list", "--ts", "x", LAST, "y"),
    "needs hours: --ts": lambda _: ("--mode", "ts_list"),
    "--ts and --ts-file go with": lambda _: ("--ts", LAST),
    "No such file": lambda tmp_path: ("--mode", "ts_list", "--ts-file", tmp_path / "nowhere"),
    "is after the last hour": lambda _: ("--start", LAST, "--end", FIRST),
    "base_hours": lambda _: ("--base-hours", 0),
    "buffer_hours": lambda _: ("--buffer-hours", -1),
    "invalid int value": lambda _: ("--base-hours", "many"),
    "unrecognized arguments": lambda _: ("--frobnicate",),
    "is not JSON": lambda tmp_path: bad_list(tmp_path, "["),
    "is not a JSON array of at least one": lambda tmp_path: bad_list(tmp_path, "{}"),
    "at least one feature name": lambda tmp_path: bad_list(tmp_path, "[]"),
    "'close_sma_21_1H' (closest: close_sma_20_1H)": lambda tmp_path: bad_list(tmp_path, '["close_sma_21_1H"]'),
    "repeats log_close_1H; list each name once": lambda tmp_path: bad_list(
        tmp_path, '["log_close_1H", "log_close_1H"]'
    ),
    "nowhere.json: No such file": lambda tmp_path: ("--feature-list", tmp_path / "nowhere.json"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_wrong_arguments_are_one_line_and_exit_code_2(market, tmp_path, capsys, message):
    try:
        code = run(*REFUSED[message](tmp_path))
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not market.target_database.exists()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (("--duckdb", "nowhere.duckdb"), "no DuckDB file"),
        (("--duckdb", "ohlcv.duckdb", "--table", "nowhere"), "no table nowhere in"),
        (("--duckdb", "ohlcv.duckdb"), "no table ohlcv_btcusdt_1h"),
        ((), "0 markets of configs/ have the feature key 'short'"),
        (("--market", "nowhere"), "no market nowhere in configs/"),
        (("--duckdb", "ohlcv.duckdb", "--table", TABLE, "--feat-duckdb", "no/folder/f.duckdb"), "no folder"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_2(market, capsys, where, message):
    assert run(*window(LAST, LAST), where=where) == 2
    assert message in capsys.readouterr().err
    assert not (market.source.database.parent / "nowhere.duckdb").exists()


def test_a_run_that_fails_for_what_the_operator_can_mend_is_exit_code_2(market, capsys):
    run(*window(LAST - HOUR, LAST))
    execute_on_target(market, "DROP TABLE bars_4h")
    execute_on_target(market, "CREATE VIEW bars_4h AS SELECT 1 AS timestamp")
    capsys.readouterr()
    assert run(*window(LAST - 5 * HOUR, LAST)) == 2
    assert "table bars_4h of" in capsys.readouterr().err
    assert len(stored(market)) == 2


def test_a_run_that_fails_for_anything_else_is_exit_code_3(market, capsys):
    run(*window(LAST, LAST))
    execute_on_target(market, "CREATE UNIQUE INDEX one_row_a_day ON features (feature_key, (CAST(ts AS DATE)))")
    capsys.readouterr()
    assert run(*window(LAST - 5 * HOUR, LAST)) == 3
    error = capsys.readouterr().err
    assert "failed: run" in error
    assert "Constraint Error" in error
    assert len(stored(market)) == 1
