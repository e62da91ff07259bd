"""Ctrl-C at several moments of a process, as a shell sends it."""

import signal
import subprocess
import sys
import time

import pytest

# A shell that starts jobs in the background has them ignore SIGINT; in the foreground it does not.
BEGIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from feature_backfill.__main__ import script

class Announcement:
    def find_spec(self, name, path=None, target=None):
        if name == "feature_backfill.cli":
            print(flush=True)

sys.meta_path.insert(0, Announcement())
script()
"""


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.5, 0.8, 1.2, 1.6])
def test_an_interrupt_is_one_line(tmp_path, dagster_home, seconds):
    """The seconds count from the moment when the process begins to import the command line."""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN, "demo", "--folder", "here"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 3
    (line,) = errors.splitlines()
    assert line == "feature-backfill: interrupted before anything was done" or line.endswith(
        "interrupted; what was stored stays"
    )
