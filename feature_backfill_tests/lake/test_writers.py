"""Several processes at a lake: writers of one market take turns, those of others and readers do not wait."""

import subprocess
import sys
import threading
from dataclasses import replace

import duckdb
import pandas as pd
import pytest

from feature_backfill import read_features
from feature_backfill.errors import DatabaseTakenError
from feature_backfill.store.database import connect, in_transaction
from feature_backfill.store.duplicates import duplicate_hours
from feature_backfill.store.features import stored_hours
from feature_backfill.store.sql import quoted
from feature_backfill_tests.lake.rows import frame, write

pytestmark = pytest.mark.lake

WRITER = """
import sys
from feature_backfill.config import Lake
from feature_backfill_tests.lake.rows import frame, write
catalog, data, schema, seed = sys.argv[1:]
for turn in range(5):
    write(Lake(catalog, data, schema), frame(50 + 10 * turn, seed=int(seed)))
"""
HOLDER = """
import sys
from feature_backfill.config import Lake
from feature_backfill.store.database import connect
with connect(Lake(*sys.argv[1:]), read_only=False):
    print("open", flush=True)
    sys.stdin.read()
"""


def start(script, lake, *arguments, **pipes):
    command = [sys.executable, "-c", script, lake.catalog, lake.data, lake.schema, *arguments]
    return subprocess.Popen(command, text=True, **pipes)


def test_two_processes_write_the_same_hours_of_a_market_while_a_third_reads(lake):
    write(lake, frame(50))
    writers = [start(WRITER, lake, str(seed)) for seed in (1, 2)]
    seen = []
    while any(writer.poll() is None for writer in writers):
        seen.append(len(read_features(lake, "k")))  # refuses repeated hours
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen == sorted(seen)
    rows = read_features(lake, "k")
    assert any(rows.equals(frame(90, seed)[rows.columns].rename_axis("ts")) for seed in (1, 2))
    with connect(lake, read_only=True) as connection:
        assert duplicate_hours(connection, "k").empty


def test_processes_write_markets_of_one_lake_at_once(lake):
    lakes = [replace(lake, schema=f"market_{number}") for number in range(3)]
    write(lakes[0], frame(1))  # makes the lake
    writers = [start(WRITER, each, str(seed)) for seed, each in enumerate(lakes)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    for seed, each in enumerate(lakes):
        pd.testing.assert_frame_equal(read_features(each, "k"), frame(90, seed), check_freq=False)


def test_a_killed_writer_leaves_no_lock_and_who_waits_too_long_is_told(lake):
    write(lake, frame(2))
    holder = start(HOLDER, lake, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == "open\n"
    assert len(read_features(lake, "k")) == 2
    other = replace(lake, schema="eth")
    write(other, frame(3))
    with (
        pytest.raises(DatabaseTakenError, match=f"{lake.schema} is in use"),
        connect(lake, read_only=False, patience=0),
    ):
        pass
    holder.kill()
    holder.communicate()
    write(lake, frame(3))
    assert len(read_features(lake, "k")) == 3


def test_a_commit_that_conflicts_is_tried_again(lake):
    write(lake, frame(30))
    tries = []
    with connect(lake, read_only=False) as connection:
        by_hand = connection.cursor()
        ((database,),) = connection.execute("SELECT current_database()").fetchall()
        by_hand.execute(f"USE {quoted(database)}.{lake.schema}")

        def work():
            tries.append(1)
            connection.execute("DELETE FROM features WHERE ts < ?", [frame(20).index[-1]])
            if len(tries) == 1:
                by_hand.execute("DELETE FROM features WHERE ts < ?", [frame(20).index[-1]])

        in_transaction(connection, work)
        assert len(tries) == 2
        assert len(stored_hours(connection, "k")) == 11


def test_what_always_conflicts_is_given_up(lake):
    write(lake, frame(30))
    tries = []

    def work():
        tries.append(1)
        connection.execute("DELETE FROM features")
        raise duckdb.TransactionException("Transaction conflict")

    with connect(lake, read_only=False) as connection, pytest.raises(duckdb.TransactionException):
        in_transaction(connection, work)
    assert 1 < len(tries) < 10
    assert len(read_features(lake, "k")) == 30


def test_threads_share_the_lakes_of_a_process(lake):
    write(lake, frame(100))
    lengths = []
    threads = [threading.Thread(target=lambda: lengths.append(len(read_features(lake, "k")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    write(lake, frame(100, seed=2))
    for thread in threads:
        thread.join()
    assert lengths == [100] * 4
