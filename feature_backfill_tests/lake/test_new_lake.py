"""A lake that several processes make at once, each for a market of its own."""

import subprocess
import sys
from dataclasses import replace

import pytest

from feature_backfill import read_features
from feature_backfill_tests.lake.rows import frame

pytestmark = pytest.mark.lake

WRITE = """
import sys
from feature_backfill import Lake
from feature_backfill_tests.lake.rows import frame, write
sys.stdin.readline()
write(Lake(*sys.argv[1:]), frame(2))
"""


def test_markets_that_make_their_lake_at_the_same_moment_wait_for_each_other(lake):
    schemas = ["a", "b", "c"]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, lake.catalog, lake.data, schema], stdin=subprocess.PIPE)
        for schema in schemas
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    for schema in schemas:
        assert len(read_features(replace(lake, schema=schema), "k")) == len(frame(2))
