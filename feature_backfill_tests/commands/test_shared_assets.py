"""Two feature keys whose assets in Dagster would have the same name."""

import dagster as dg

from feature_backfill.cli import main
from feature_backfill.hours import HOUR
from feature_backfill_tests.markets import LAST, TABLE, stored

WHERE = ("--duckdb", "ohlcv.duckdb", "--feat-duckdb", "features.duckdb", "--table", TABLE)
SETTINGS = ("--base-hours", "48", "--timeframes", "1H", "4H")


def shown():
    with dg.DagsterInstance.get() as instance:
        return instance.get_materialized_partitions(dg.AssetKey([TABLE, "features", "a_b"]))


def test_the_second_key_is_refused_and_repair_takes_nothing_from_the_first(market, capsys):
    window = ("--start", str(LAST - 3 * HOUR), "--end", str(LAST))
    assert main(["run", *WHERE, *SETTINGS, *window, "--feature-key", "a/b"]) == 0
    assert len(shown()) == 4
    capsys.readouterr()
    for command in (("run", *window), ("run", *window, "--dry-run"), ("repair",)):
        name, *hours = command
        assert main([name, *WHERE, *SETTINGS, *hours, "--feature-key", "a b"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "holds rows of the key 'a/b', whose asset in Dagster has the same name, a_b" in line
    assert stored(market, "a b").empty
    assert main(["repair", *WHERE, *SETTINGS, "--feature-key", "a/b"]) == 0
    assert f"{TABLE}/features/a_b: 0 hours reported, 0 no longer stored, 4 in order" in capsys.readouterr().out
    assert len(shown()) == 4
