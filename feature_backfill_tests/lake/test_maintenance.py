"""The upkeep of a lake: fewer files, older snapshots gone, every row as it was."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from feature_backfill import read_features
from feature_backfill.automation.maintenance import maintain
from feature_backfill.store.database import connect
from feature_backfill.store.lakes import catalog_of
from feature_backfill.store.row_source import RowSource
from feature_backfill.store.targets import newest_snapshot
from feature_backfill_tests.lake.rows import FIRST, frame, write

pytestmark = pytest.mark.lake


def files(lake):
    return list(Path(lake.data).rglob("features/*.parquet"))


def snapshots(lake):
    with connect(lake, read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM ducklake_snapshots(current_database())").fetchone()[0]


def test_single_rows_wait_in_the_catalog_and_then_become_a_file(lake):
    for hour in range(4):
        write(lake, frame(1, seed=hour, start=FIRST + pd.Timedelta(hours=hour)))
    assert files(lake) == []
    before = read_features(lake, "k")
    assert len(before) == 4
    done = maintain(lake)
    assert (done.rows_moved, len(files(lake))) == (4, 1)
    pd.testing.assert_frame_equal(read_features(lake, "k"), before)


def test_small_files_are_merged_old_snapshots_expired_and_earlier_rows_still_read(lake):
    for day in range(5):
        write(lake, frame(24, seed=day, start=FIRST + pd.Timedelta(days=day)))
    with connect(lake, read_only=True) as connection:
        ((moment,),) = connection.execute("SELECT max(created_at) FROM features").fetchall()
    write(lake, frame(24, seed=9))
    rows, stood, kept = read_features(lake, "k"), read_features(lake, "k", as_of=moment), snapshots(lake)
    assert len(files(lake)) > 5
    assert maintain(lake).snapshots == 0
    assert snapshots(lake) > kept
    done = maintain(lake, keep_days=0)
    assert snapshots(lake) == 1
    assert done.snapshots >= kept
    pd.testing.assert_frame_equal(read_features(lake, "k"), rows)
    pd.testing.assert_frame_equal(read_features(lake, "k", as_of=moment), stood)
    with connect(lake, read_only=False) as connection:
        ((database,),) = connection.execute("SELECT current_database()").fetchall()
        ((count,),) = connection.execute(
            "FROM postgres_query(?, 'SELECT count(*) FROM ducklake_data_file JOIN ducklake_table USING (table_id)"
            " WHERE table_name = ''features''')",
            [catalog_of(database)],
        ).fetchall()
        assert RowSource(connection, "k").hours(None, None).equals(rows.index)
    assert count == 1


UPKEEP = """
import sys
from feature_backfill.automation.maintenance import maintain
from feature_backfill.config import Lake
maintain(Lake(*sys.argv[1:]), keep_days=0)
"""


def test_markets_of_one_lake_are_maintained_at_once(lake):
    lakes = [replace(lake, schema=f"market_{number}") for number in range(3)]
    for each in lakes:
        write(each, frame(24))
        write(each, frame(24, seed=1, start=FIRST + pd.Timedelta(days=1)))
    commands = [[sys.executable, "-c", UPKEEP, each.catalog, each.data, each.schema] for each in lakes]
    assert [process.wait() for process in [subprocess.Popen(command) for command in commands]] == [0, 0, 0]
    assert snapshots(lakes[0]) == 1
    assert [len(read_features(each, "k")) for each in lakes] == [48, 48, 48]


def test_rows_written_after_the_upkeep_change_the_state(lake):
    assert maintain(lake) is None
    write(lake, frame(30))
    maintain(lake, keep_days=0)
    before = newest_snapshot(lake)
    assert newest_snapshot(lake) == before
    write(lake, frame(1, start=FIRST + pd.Timedelta(days=9)))
    assert newest_snapshot(lake) != before
