"""`feature-backfill convert` on a database of an earlier storage version."""

import duckdb

from feature_backfill.cli import main
from feature_backfill_tests.markets import LAST, LOOKBACK, WHERE, stored, window


def test_a_database_is_smaller_and_holds_the_same(market, capsys):
    with duckdb.connect(config={"force_compression": "uncompressed"}) as connection:
        connection.execute(f"ATTACH '{market.target_database}' AS old (STORAGE_VERSION 'v1.0.0')")
    assert main(["run", "--feature-key", "short", *WHERE, *LOOKBACK, *window(LAST.floor("D"), LAST)]) == 0
    before = stored(market)
    old = market.target_database.read_bytes()
    capsys.readouterr()
    assert main(["convert", "features.duckdb"]) == 0
    output = capsys.readouterr().out
    assert "MB before" in output
    assert f"the old file is {market.target_database}.bak" in output
    assert stored(market).equals(before)
    assert market.target_database.with_name("features.duckdb.bak").read_bytes() == old
    assert main(["convert", "features.duckdb"]) == 2
    assert "features.duckdb.bak exists already; move it away" in capsys.readouterr().err
    assert main(["convert", "features.duckdb", "--no-backup"]) == 0
    assert stored(market).equals(before)
