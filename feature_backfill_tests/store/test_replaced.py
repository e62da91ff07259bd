"""Rows that were overwritten can be read as they stood at any time, byte for byte."""

import json
import time

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_backfill import read_features
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.store.database import connect
from feature_backfill.store.features import delete_features, ensure_features_table, retire_key, write_features
from feature_backfill.store.replaced import count_replaced, drop_replaced
from feature_backfill.store.row_source import RowSource
from feature_backfill_tests.targets import FILE_OR_LAKE, new_target

FIRST = pd.Timestamp("2025-01-01")
HOURS = hour_range(FIRST, FIRST + 9 * HOUR)
KEY = "key"


def frame(hours, seed):
    values = np.random.default_rng(seed).normal(size=(len(hours), 3))
    values[0, 0] = np.nan
    return pd.DataFrame(values, index=pd.DatetimeIndex(hours), columns=["a", "b", "c"])


def write(database, rows, replaced_by="overwrite", missing="null"):
    with connect(database, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, KEY, rows, missing, replaced_by=replaced_by)


def texts(database, as_of=None):
    """The JSON of each hour, as text."""
    with connect(database, read_only=True) as connection:
        rows = RowSource(connection, KEY, as_of).select("ts, CAST(features AS VARCHAR)", then="ORDER BY ts").fetchall()
    return {pd.Timestamp(ts): text for ts, text in rows}


def now(database):
    """A moment after all that was written so far, by the database's clock."""
    time.sleep(0.002)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        (moment,) = connection.execute("SELECT current_timestamp AT TIME ZONE 'UTC'").fetchone()
    time.sleep(0.002)
    return pd.Timestamp(moment)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(
        st.tuples(st.sets(st.integers(0, 9), min_size=1), st.integers(0, 3), st.sampled_from(["null", "nan"])),
        min_size=10,
        max_size=10,
    )
)
def test_after_ten_overwrites_each_version_is_there_byte_for_byte(tmp_path_factory, writes):
    database = tmp_path_factory.mktemp("target") / "features.duckdb"
    versions = []
    for places, seed, missing in writes:
        write(database, frame(HOURS[sorted(places)], seed), missing=missing)
        versions.append((now(database), texts(database)))
    for moment, stood in versions:
        assert texts(database, moment) == stood
        read = read_features(database, KEY, as_of=moment)
        assert list(read.index) == list(stood)
        newest = pd.Series(json.loads(stood[max(stood)]), dtype="float64")
        pd.testing.assert_series_equal(read.loc[max(stood)], newest, check_names=False, check_exact=True)


@pytest.fixture(params=FILE_OR_LAKE)
def database(request):
    target = new_target(request)
    write(target, frame(HOURS, 0))
    return target


def replaced(database):
    with connect(database, read_only=True) as connection:
        return count_replaced(connection, KEY)


def test_an_equal_row_stays_and_one_that_differs_is_kept_with_its_cause(database):
    with connect(database, read_only=True) as connection:
        before = connection.execute("SELECT * FROM features ORDER BY ts").fetchall()
    write(database, frame(HOURS, 0))
    assert replaced(database) == 0
    changed = frame(HOURS, 0)
    changed.loc[HOURS[3], "b"] += 1
    write(database, changed, "run 1234")
    with connect(database, read_only=True) as connection:
        after = connection.execute("SELECT * FROM features ORDER BY ts").fetchall()
        (kept,) = connection.execute("SELECT * FROM features_replaced").fetchall()
        (created,) = connection.execute("SELECT created_at FROM features WHERE ts = ?", [HOURS[3]]).fetchone()
    assert [row for row in after if row not in before] == [after[3]]
    assert kept[:4] == before[3]
    assert kept[4:] == (created, "run 1234")


def test_a_clock_that_was_set_back_does_not_hide_a_version(database):
    with connect(database, read_only=False) as connection:
        connection.execute("UPDATE features SET created_at = created_at + INTERVAL 1 DAY")
    old = texts(database)
    write(database, frame(HOURS, 1))
    with connect(database, read_only=True) as connection:
        (moment,) = connection.execute("SELECT max(created_at) FROM features_replaced").fetchone()
    assert texts(database, pd.Timestamp(moment)) == old
    assert texts(database, pd.Timestamp(moment) + pd.Timedelta(microseconds=1)) == texts(database)


def test_before_the_first_write_there_is_nothing(database):
    assert read_features(database, KEY, as_of=now(database) - HOUR).empty
    assert len(read_features(database, KEY, as_of=now(database))) == 10


def test_rows_of_a_database_without_replaced_rows_stand_since_they_were_created(database):
    with connect(database, read_only=False) as connection:
        connection.execute("DROP TABLE features_replaced")
        connection.execute("UPDATE features SET created_at = '2025-06-01' WHERE ts < ?", [HOURS[4]])
        connection.execute("UPDATE features SET created_at = NULL WHERE ts = ?", [HOURS[5]])
    assert list(read_features(database, KEY, as_of="2025-06-01T00:00").index) == [*HOURS[:4], HOURS[5]]


def test_replaced_rows_are_dropped_up_to_a_time_and_with_their_key(database):
    write(database, frame(HOURS, 1))
    between = now(database)
    write(database, frame(HOURS, 2))
    assert replaced(database) == 20
    with connect(database, read_only=False) as connection:
        assert drop_replaced(connection, between, "other") == 0
        assert drop_replaced(connection, between, KEY) == 10
        assert drop_replaced(connection, between) == 0
    assert texts(database, between) == {**texts(database, between)}
    assert replaced(database) == 10
    with connect(database, read_only=False) as connection:
        assert delete_features(connection, KEY) == 10
    assert replaced(database) == 0


def test_a_retired_key_is_new_and_its_rows_can_be_read_as_they_stood(database):
    stood = texts(database)
    moment = now(database)
    with connect(database, read_only=False) as connection:
        assert retire_key(connection, KEY, "replace-key") == 10
    assert texts(database) == {}
    assert read_features(database, KEY).empty
    assert texts(database, moment) == stood
    write(database, frame(HOURS[:2], 5))
    assert len(texts(database)) == 2
    assert texts(database, moment) == stood
