"""What `status` reads: hours without values, the hours of several keys at once."""

import pandas as pd
import pytest

from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table as ensure
from feature_backfill.store.features import stored_hours, stored_hours_of_keys, write_features
from feature_backfill.store.ohlcv import ohlcv_hours, sound_hours
from feature_backfill_tests.bad_inputs import BAD_ROWS
from feature_backfill_tests.markets import LAST, TABLE, small_market

HOUR = LAST - pd.Timedelta(hours=5)


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path)


def test_sound_rows_are_known_by_their_hours(market):
    with connect(market.source.database, read_only=True) as connection:
        pd.testing.assert_index_equal(sound_hours(connection, TABLE), ohlcv_hours(connection, TABLE))
        assert sound_hours(connection, TABLE, HOUR)[-1] == HOUR


@pytest.mark.parametrize("row", BAD_ROWS, ids=lambda row: row.what)
def test_a_row_in_doubt_needs_a_closer_look(market, row):
    with connect(market.source.database, read_only=False) as connection:
        connection.execute(row.statement, {"hour": HOUR})
        hours = sound_hours(connection, TABLE)
    assert (hours is None) == (row.what != "a missing row")


def test_the_hours_of_several_keys(tmp_path):
    hours = pd.date_range("2025-01-01", periods=5, freq="h")
    with connect(tmp_path / "features.duckdb", read_only=False) as connection:
        assert [*map(len, stored_hours_of_keys(connection, ["a"]).values())] == [0]
        ensure(connection)
        for key, some in {"a": hours[3:], "b": hours[:2], "c": hours}.items():
            write_features(connection, key, pd.DataFrame({"x": 1.0}, index=some))
        write_features(connection, "a", pd.DataFrame({"x": 1.0}, index=hours[:1]))
        found = stored_hours_of_keys(connection, ["b", "nothing", "a"])
        assert list(found) == ["b", "nothing", "a"]
        for key, some in found.items():
            pd.testing.assert_index_equal(some, stored_hours(connection, key))
