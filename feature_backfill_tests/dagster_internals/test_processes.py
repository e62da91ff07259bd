"""Processes that exist, are gone, or have a pid that was another's before."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from feature_backfill.dagster_internals.processes import process_exists, this_boot

DAY_S = 86400.0


def test_this_process_exists_and_was_not_there_yesterday():
    now, booted = time.time(), this_boot().time
    assert process_exists(os.getpid(), now, booted)
    assert not process_exists(os.getpid(), now - DAY_S, booted)


def test_a_process_that_ended_is_gone_whether_its_parent_has_noticed_or_not():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    now, booted = time.time(), this_boot().time
    assert process_exists(process.pid, now, booted)
    process.stdin.close()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not process_exists(process.pid, now, booted)
    process.wait()
    assert not process_exists(process.pid, now, booted)


@pytest.mark.parametrize("shift", [30 * DAY_S, -DAY_S])
def test_a_clock_that_jumps_changes_nothing_by_the_boot_time_of_before(kernel, shift):
    before, booted = time.time(), this_boot().time
    kernel.show(shift)
    assert this_boot().time == booted + shift
    assert process_exists(os.getpid(), before, booted)
    assert not process_exists(os.getpid(), before - DAY_S, booted)
