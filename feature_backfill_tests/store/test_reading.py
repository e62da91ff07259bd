"""Reading stored features: ranges, columns, number types, several keys and markets, bounded memory."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pytest

from feature_backfill.config import Lake
from feature_backfill.errors import UserError
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features
from feature_backfill.store.reading import read_features
from feature_backfill_tests.targets import FILE_OR_LAKE, new_target

Target = TypeVar("Target", Path, Lake)

HOURS = pd.date_range("2025-01-01", periods=4, freq="h", unit="us", name="ts")


@pytest.fixture(params=FILE_OR_LAKE)
def path(request: pytest.FixtureRequest) -> Path | Lake:
    return new_target(request)


@pytest.fixture(params=FILE_OR_LAKE)
def two_paths(request: pytest.FixtureRequest) -> tuple[Path | Lake, Path | Lake]:
    return new_target(request, "btc"), new_target(request, "eth")


def frame(hours: pd.DatetimeIndex = HOURS, value: float = 0.1) -> pd.DataFrame:
    return pd.DataFrame({"close_rsi_14_1H": value, "time_hour_of_day_1D": 5.0}, index=hours)


def store(path: Target, **frames: pd.DataFrame) -> Target:
    """Store a frame under each key."""
    with connect(path, read_only=False) as connection:
        ensure_features_table(connection)
        for key, rows in frames.items():
            write_features(connection, key, rows)
    return path


def test_read_features_of_a_range_and_columns(path: Path | Lake) -> None:
    with connect(path, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, "k", frame())
    read = read_features(
        path, "k", start="2025-01-01 01:00", end="2025-01-01T04:00+02:00", columns=["time_hour_of_day_1D"]
    )
    expected = frame(HOURS[1:3])[["time_hour_of_day_1D"]]
    pd.testing.assert_frame_equal(read, expected, check_exact=True, check_freq=False)
    assert list(read_features(path, "k", columns=[]).index) == list(HOURS)
    nothing = read_features(path, "k", start=HOURS[-1] + pd.Timedelta(hours=1), columns=["close_rsi_14_1H"])
    assert nothing.shape == (0, 1)
    assert nothing.index.name == "ts"


def test_read_features_names_what_is_not_there(path: Path | Lake) -> None:
    with pytest.raises(UserError, match=r"no DuckDB file|there is nothing in lake"):
        read_features(path, "k")
    with connect(path, read_only=False) as connection:
        connection.execute("CREATE TABLE ohlcv (i INT)")
    with pytest.raises(UserError, match=r"no table features .*ohlcv"):
        read_features(path, "k")
    with connect(path, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, "k", frame())
    with pytest.raises(UserError, match=r"no features under the key other .*the keys there: k"):
        read_features(path, "other")
    with pytest.raises(UserError, match=r"no such feature .* close_rsi_14_4H; it has close_rsi_14_1H"):
        read_features(path, "k", columns=["close_rsi_14_4H"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"columns": ["b", "a", "b"]}, "columns repeats b"),
        ({"feature_key": ["k", "k"]}, "feature_key repeats k"),
        ({"feature_key": []}, "feature_key is empty"),
        ({"database": {}}, "database is empty"),
        ({"dtype": "int8"}, "dtype 'int8'.*float64 or float32"),
        ({"start": "soon"}, "start: not a timestamp: 'soon'"),
        ({"end": 5}, "end: not a timestamp"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(path: Path | Lake, choice: dict[str, object], message: str) -> None:
    store(path, k=frame())
    with pytest.raises(UserError, match=message):
        read_features(**{"database": path, "feature_key": "k", **choice})  # type: ignore[arg-type]


def test_float32_rounds_the_same_values(path: Path | Lake) -> None:
    written = pd.DataFrame({"a": [0.1, 1e300, np.nan, -1.5], "b": np.arange(4.0)}, index=HOURS)
    store(path, k=written)
    read = read_features(path, "k", dtype="float32")
    with np.errstate(over="ignore"):
        expected = written.astype("float32")
    pd.testing.assert_frame_equal(read, expected, check_exact=True, check_freq=False)
    assert read["a"].iloc[1] == np.inf


def test_several_keys_are_one_frame_in_the_order_asked_for(path: Path | Lake) -> None:
    one, other = frame(), frame(HOURS[2:], 0.7)[["time_hour_of_day_1D", "close_rsi_14_1H"]]
    store(path, one=one, other=other)
    read = read_features(path, ["other", "one"])
    assert read.index.names == ["feature_key", "ts"]
    assert list(read.columns) == list(other.columns)
    assert list(read.index.unique("feature_key")) == ["other", "one"]
    for key, written in (("one", one), ("other", other)):
        pd.testing.assert_frame_equal(read.loc[key], written[read.columns], check_exact=True, check_freq=False)
    only = read_features(path, ["one"], columns=["close_rsi_14_1H"])
    assert only.index.names == ["feature_key", "ts"]
    assert only.shape == (4, 1)


def test_several_markets_are_one_frame(two_paths: tuple[Path | Lake, Path | Lake]) -> None:
    btc = store(two_paths[0], k=frame(value=1.0), j=frame(value=2.0))
    eth = store(two_paths[1], k=frame(HOURS[1:], 3.0), j=frame(value=4.0))
    read = read_features({"btc": btc, "eth": eth}, "k", start=HOURS[1])
    assert read.index.names == ["market", "ts"]
    pd.testing.assert_frame_equal(read.loc["eth"], frame(HOURS[1:], 3.0), check_exact=True, check_freq=False)
    assert len(read.loc["btc"]) == 3
    both = read_features({"btc": btc, "eth": eth}, ["k", "j"])
    assert both.index.names == ["market", "feature_key", "ts"]
    first_values = both.groupby(level=["market", "feature_key"])["close_rsi_14_1H"].first()
    assert first_values.to_dict() == {("btc", "k"): 1.0, ("btc", "j"): 2.0, ("eth", "k"): 3.0, ("eth", "j"): 4.0}


def test_keys_with_different_features_are_refused_by_name(tmp_path: Path) -> None:
    btc = store(tmp_path / "btc.duckdb", k=frame().assign(extra=1.0))
    eth = store(tmp_path / "eth.duckdb", k=frame().assign(other=1.0))
    markets = {"btc": btc, "eth": eth}
    with pytest.raises(UserError, match=r"k of btc lacks other; k of eth lacks extra\. Choose .* with columns"):
        read_features(markets, "k")
    with pytest.raises(UserError, match=r"no such feature under the key k .*eth\.duckdb: extra"):
        read_features(markets, "k", columns=["extra"])
    assert read_features(markets, "k", columns=["close_rsi_14_1H"]).shape == (8, 1)


def test_a_key_without_rows_in_the_range_adds_none(path: Path | Lake) -> None:
    store(path, one=frame().assign(extra=1.0), other=frame(HOURS + pd.Timedelta(days=1)))
    read = read_features(path, ["other", "one"], end=HOURS[-1])
    assert list(read.index.unique("feature_key")) == ["one"]
    assert read.shape == (4, 3)
    nothing = read_features(path, ["other", "one"], end="2020-01-01")
    assert nothing.shape == (0, 0)
    assert nothing.index.names == ["feature_key", "ts"]
