"""Looking into all stored rows of a key."""

import pandas as pd

from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table
from feature_backfill.store.row_contents import name_sets

HOURS = pd.date_range("2015-01-01", periods=40_000, freq="h", unit="us")
"""Those of five parts, which are read by several threads at once."""

LOOKS = 10


def test_a_long_history_is_read_by_several_threads_at_once(tmp_path):
    with connect(tmp_path / "features.duckdb", read_only=False) as connection:
        ensure_features_table(connection)
        connection.execute(
            "INSERT INTO features SELECT 'k', ts, if(row_number() OVER (ORDER BY ts) > 30000, '{\"b\": 1}',"
            " '{\"a\": 1}'), ts FROM (SELECT unnest(?::TIMESTAMP[]) AS ts)",
            [list(HOURS.to_pydatetime())],
        )
    with connect(tmp_path / "features.duckdb", read_only=True) as connection:
        for _ in range(LOOKS):
            (most, first), (few, last) = name_sets(connection, "k")
            assert (most, few) == (["a"], ["b"])
            pd.testing.assert_index_equal(first, pd.DatetimeIndex(HOURS[:30_000], freq=None), check_names=False)
            pd.testing.assert_index_equal(last, pd.DatetimeIndex(HOURS[30_000:], freq=None), check_names=False)
