from pathlib import Path

import pandas as pd
import pytest

from feature_backfill import forward_returns, read_ohlcv
from feature_backfill.errors import UserError
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import upsert_ohlcv

OHLCV = synthetic_ohlcv(pd.Timestamp("2025-01-01"), 30)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with connect(tmp_path / "o.duckdb", read_only=False) as connection:
        upsert_ohlcv(connection, "ohlcv", OHLCV)
    return tmp_path / "o.duckdb"


def test_the_rows_of_a_range_are_read(database: Path) -> None:
    pd.testing.assert_frame_equal(read_ohlcv(str(database), "ohlcv"), OHLCV, check_exact=True)
    read = read_ohlcv(database, "ohlcv", start="2025-01-01T05:00", end="2025-01-01T08:00+02:00")
    assert list(read["timestamp"]) == list(OHLCV["timestamp"][5:7])


def test_returns_of_the_rows_join_with_features_by_hour(database: Path) -> None:
    hours = pd.DatetimeIndex(OHLCV["timestamp"][10:20], name="ts")
    joined = pd.DataFrame({"a": 1.0}, index=hours).join(forward_returns(read_ohlcv(database, "ohlcv"), 1))
    expected = OHLCV["close"].to_numpy()[11:21] / OHLCV["close"].to_numpy()[10:20] - 1
    assert list(joined["forward_return_1h"]) == list(expected)


def test_what_cannot_be_read_is_said(database: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no table other .*the tables there: ohlcv"):
        read_ohlcv(database, "other")
    with pytest.raises(UserError, match="no DuckDB file"):
        read_ohlcv(tmp_path / "none.duckdb", "ohlcv")
    with pytest.raises(UserError, match="end: not a timestamp"):
        read_ohlcv(database, "ohlcv", end="soon")
