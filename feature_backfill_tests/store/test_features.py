import json
import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_backfill.config import Lake
from feature_backfill.errors import UserError
from feature_backfill.store import features, parsing
from feature_backfill.store.database import connect
from feature_backfill.store.features import (
    delete_features,
    ensure_features_table,
    last_stored_hour,
    stored_hours,
    write_features,
)
from feature_backfill.store.reading import read_features
from feature_backfill_tests.targets import FILE_OR_LAKE, new_target

HOURS = pd.date_range("2025-01-01", periods=4, freq="h", unit="us", name="ts")
LEGACY_TABLE = """
    CREATE TABLE IF NOT EXISTS features (
        feature_key TEXT NOT NULL,
        ts TIMESTAMP NOT NULL,
        features JSON NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        PRIMARY KEY(feature_key, ts)
    )
"""


@pytest.fixture(params=FILE_OR_LAKE)
def path(request: pytest.FixtureRequest) -> Path | Lake:
    return new_target(request)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "features.duckdb"


@pytest.fixture
def connection(path: Path | Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(path, read_only=False) as connection:
        ensure_features_table(connection)
        yield connection


@pytest.fixture(scope="module")
def in_memory() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        ensure_features_table(connection)
        yield connection


def frame(hours: pd.DatetimeIndex = HOURS, value: float = 0.1) -> pd.DataFrame:
    return pd.DataFrame({"close_rsi_14_1H": value, "time_hour_of_day_1D": 5.0}, index=hours)


def texts(connection: duckdb.DuckDBPyConnection, feature_key: str = "k") -> list[str]:
    rows = connection.execute(
        "SELECT features FROM features WHERE feature_key = ? ORDER BY ts", [feature_key]
    ).fetchall()
    return [text for (text,) in rows]


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def test_rows_are_objects_of_floats_in_column_order(connection: duckdb.DuckDBPyConnection) -> None:
    values = {"z": [1.0], "a b": [-0.0], 'say "é"': [1e22], "it's": [1e-5], "m": [5e-324]}
    assert write_features(connection, "k", pd.DataFrame(values, index=HOURS[:1])) == 1
    (text,) = texts(connection)
    row = json.loads(text)
    assert list(row) == list(values)
    assert all(type(value) is float for value in row.values())
    assert {name: bits(value) for name, value in row.items()} == {
        name: bits(value) for name, (value,) in values.items()
    }
    assert '"z":1.0' in text


def test_missing_values_as_null(connection: duckdb.DuckDBPyConnection) -> None:
    write_features(connection, "k", pd.DataFrame([[1.5, np.nan, np.inf, -np.inf]], HOURS[:1], list("abcd")))
    assert texts(connection) == ['{"a":1.5,"b":null,"c":null,"d":null}']


def test_missing_values_as_tokens(connection: duckdb.DuckDBPyConnection) -> None:
    write_features(
        connection, "k", pd.DataFrame([[1.5, np.nan, np.inf, -np.inf]], HOURS[:1], list("abcd")), missing="nan"
    )
    (text,) = texts(connection)
    assert text == '{"a":1.5,"b":NaN,"c":Infinity,"d":-Infinity}'
    assert math.isnan(json.loads(text)["b"])


def test_no_columns(connection: duckdb.DuckDBPyConnection) -> None:
    assert write_features(connection, "k", pd.DataFrame(index=HOURS)) == 4
    assert texts(connection) == ["{}"] * 4


def test_no_rows(connection: duckdb.DuckDBPyConnection) -> None:
    assert write_features(connection, "k", frame().iloc[:0]) == 0


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=50), st.sampled_from(["null", "nan"]))
def test_every_float_comes_back_bit_for_bit(
    in_memory: duckdb.DuckDBPyConnection, values: list[float], missing: features.Missing
) -> None:
    hours = pd.date_range("2025-01-01", periods=len(values), freq="h", unit="us")
    delete_features(in_memory, "k")
    write_features(in_memory, "k", pd.DataFrame({"x": values}, index=hours), missing)
    read = [json.loads(text)["x"] for text in texts(in_memory)]
    for value, stored in zip(values, read, strict=True):
        if missing == "null" and not math.isfinite(value):
            assert stored is None
        else:
            assert bits(stored) == bits(value) or (math.isnan(stored) and math.isnan(value))


def test_random_doubles_come_back_bit_for_bit(path: Path | Lake) -> None:
    values = np.random.default_rng(0).integers(0, 2**64, (500, 40), dtype="uint64").view("float64")
    hours = pd.date_range("2025-01-01", periods=500, freq="h", unit="us")
    with connect(path, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, "k", pd.DataFrame(values, index=hours, columns=[f"f{i}" for i in range(40)]), "nan")
        parsed = np.array([list(json.loads(text).values()) for text in texts(connection)])
    finite = np.isfinite(values)
    for stored in (parsed, read_features(path, "k").to_numpy()):
        assert stored[finite].tobytes() == values[finite].tobytes()
        np.testing.assert_array_equal(stored, values)


def test_overwriting_touches_no_other_row(connection: duckdb.DuckDBPyConnection) -> None:
    keys = ["k", "k'\"; DROP TABLE features; --", "K"]
    for key in keys:
        write_features(connection, key, frame())
    before = connection.execute(
        "FROM features WHERE NOT (feature_key = ? AND ts IN ?)", [keys[1], [*HOURS[1:3]]]
    ).fetchall()
    assert write_features(connection, keys[1], frame(HOURS[1:3], value=0.7)) == 2
    after = connection.execute(
        "FROM features WHERE NOT (feature_key = ? AND ts IN ?)", [keys[1], [*HOURS[1:3]]]
    ).fetchall()
    assert len(before) == 10
    assert sorted(after) == sorted(before)
    assert [json.loads(text)["close_rsi_14_1H"] for text in texts(connection, keys[1])] == [0.1, 0.7, 0.7, 0.1]


def test_a_failed_overwrite_loses_no_row(connection: duckdb.DuckDBPyConnection) -> None:
    write_features(connection, "k", frame())
    before = connection.execute("FROM features ORDER BY ts").fetchall()
    with pytest.raises(duckdb.ConstraintException):
        write_features(connection, "k", frame(HOURS.append(HOURS[:1]), value=0.7))
    assert connection.execute("FROM features ORDER BY ts").fetchall() == before


def test_more_rows_than_one_transaction_takes(path: Path | Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in [
        (features, "_ROWS_PER_TRANSACTION"),
        (features, "_ROWS_PER_BATCH"),
        (parsing, "_ROWS_PER_PART"),
    ]:
        monkeypatch.setattr(module, name, 7)
    hours = pd.date_range("2025-01-01", periods=50, freq="h", unit="us", name="ts")
    written = pd.DataFrame({"a": np.arange(50) / 3, "b": np.arange(50) * 2.0}, index=hours)
    with connect(path, read_only=False) as connection:
        ensure_features_table(connection)
        assert write_features(connection, "k", written.sample(frac=1, random_state=0)) == 50
    pd.testing.assert_frame_equal(read_features(path, "k"), written, check_exact=True, check_freq=False)


def test_created_at_is_utc_in_any_session(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET TimeZone = 'Asia/Kolkata'")
    before = datetime.now(UTC).replace(tzinfo=None)
    write_features(connection, "k", frame())
    after = datetime.now(UTC).replace(tzinfo=None)
    ((created_at,),) = connection.execute("SELECT DISTINCT created_at FROM features").fetchall()
    assert before <= created_at <= after


def test_stored_hours(connection: duckdb.DuckDBPyConnection) -> None:
    write_features(connection, "k", frame())
    write_features(connection, "other", frame(HOURS + pd.Timedelta(days=1)))
    expected = pd.DatetimeIndex(HOURS, freq=None)
    pd.testing.assert_index_equal(stored_hours(connection, "k"), expected)
    pd.testing.assert_index_equal(stored_hours(connection, "k", start=HOURS[1]), expected[1:])
    pd.testing.assert_index_equal(stored_hours(connection, "k", HOURS[1], HOURS[2]), expected[1:3])
    pd.testing.assert_index_equal(stored_hours(connection, "none"), expected[:0])
    assert last_stored_hour(connection, "k") == HOURS[-1]
    assert last_stored_hour(connection, "none") is None


def test_without_a_table_nothing_is_stored() -> None:
    with duckdb.connect() as connection:
        pd.testing.assert_index_equal(stored_hours(connection, "k"), pd.DatetimeIndex(HOURS[:0], freq=None))
        assert last_stored_hour(connection, "k") is None
        assert delete_features(connection, "k") == 0


def test_delete_features(connection: duckdb.DuckDBPyConnection) -> None:
    write_features(connection, "k", frame())
    write_features(connection, "other", frame())
    assert delete_features(connection, "k") == 4
    assert delete_features(connection, "k") == 0
    assert len(stored_hours(connection, "other")) == 4


def test_a_table_of_the_legacy_script_carries_on(file: Path) -> None:
    with duckdb.connect(file) as legacy:
        legacy.execute(LEGACY_TABLE)
        rows = [
            ("k", HOURS[0], '{"a": NaN, "b": -Infinity, "c": 1e-05, "gone": 2.0}'),
            ("k", HOURS[1], '{"a": 0.1, "b": 5}'),
            ("k", HOURS[2], '{"c": Infinity, "b": null, "a": -0.0}'),
        ]
        legacy.executemany("INSERT INTO features (feature_key, ts, features) VALUES (?, ?, ?)", rows)
    with connect(file, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, "k", pd.DataFrame({"c": [3.0], "a": [np.nan], "b": [4.5]}, index=HOURS[3:]))
    expected = pd.DataFrame(
        {
            "c": [1e-05, np.nan, np.inf, 3.0],
            "a": [np.nan, 0.1, -0.0, np.nan],
            "b": [-np.inf, 5.0, np.nan, 4.5],
        },
        index=HOURS,
    )
    pd.testing.assert_frame_equal(read_features(file, "k"), expected, check_exact=True, check_freq=False)


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        (LEGACY_TABLE.replace("JSON", "VARCHAR"), "column features is VARCHAR instead of JSON"),
        (LEGACY_TABLE.replace("PRIMARY KEY(feature_key, ts)", "x INT"), "column x is not expected.*primary key is ()"),
        ("CREATE VIEW features AS SELECT 'k' AS feature_key", "column ts is missing"),
    ],
)
def test_a_table_of_another_make_is_refused(file: Path, statement: str, difference: str) -> None:
    with connect(file, read_only=False) as connection:
        connection.execute(statement)
        with pytest.raises(UserError, match=f"table features of {file} .*{difference}"):
            ensure_features_table(connection)
