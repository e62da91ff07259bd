"""Runs whose process is gone, and runs that only seem so."""

import os
import signal
import subprocess
import sys
import time

import dagster as dg
import pandas as pd
import pytest
from dagster._core.events import DagsterEvent

from feature_backfill.dagster_internals.orphans import SILENCE, end_orphans
from feature_backfill_tests.postgres import ON_EITHER

DAY_S = 86400.0
KILLED_IN_A_STEP = """
import os, signal
import dagster as dg

@dg.op(pool="small")
def dies():
    os.kill(os.getpid(), signal.SIGKILL)

@dg.job
def dying():
    dies()

dying.execute_in_process(instance=dg.DagsterInstance.get())
"""


@ON_EITHER
def test_a_killed_run_is_failed_and_its_slot_is_free(instance):
    assert subprocess.run([sys.executable, "-c", KILLED_IN_A_STEP], capture_output=True).returncode == -signal.SIGKILL
    (killed,) = instance.get_runs()
    assert killed.status == dg.DagsterRunStatus.STARTED
    assert instance.event_log_storage.get_concurrency_run_ids() == {killed.run_id}
    assert end_orphans(instance) == [killed.run_id]
    assert instance.get_run_by_id(killed.run_id).status == dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.get_concurrency_run_ids() == set()
    assert end_orphans(instance) == []


@ON_EITHER
def test_the_slot_of_a_lost_run_that_was_failed_already_is_freed(instance):
    @dg.job
    def lost():
        pass

    process = subprocess.Popen([sys.executable, "-c", ""])
    run = instance.create_run_for_job(lost)
    started = DagsterEvent(dg.DagsterEventType.RUN_START.value, lost.name, pid=process.pid)
    instance.report_dagster_event(started, run.run_id)
    instance.report_run_failed(run)
    slots = instance.event_log_storage
    slots.initialize_concurrency_limit_to_default("small")
    assert slots.claim_concurrency_slot("small", run.run_id, "step").is_claimed
    process.wait()
    assert end_orphans(instance) == []
    assert slots.get_concurrency_run_ids() == set()


@ON_EITHER
def test_a_run_of_a_living_process_is_left_alone(instance):
    @dg.op(pool="small")
    def looks():
        assert end_orphans(instance) == []

    @dg.job
    def living():
        looks()

    assert living.execute_in_process(instance=instance).success


def started_run(instance, pid, timestamp):
    """A run of a process, begun at a time by the clock of then."""

    @dg.job
    def going():
        pass

    run = instance.create_run_for_job(going)
    event = DagsterEvent(dg.DagsterEventType.RUN_START.value, going.name, pid=pid)
    entry = dg.EventLogEntry(
        error_info=None, level=20, user_message="", run_id=run.run_id, timestamp=timestamp, dagster_event=event
    )
    instance.handle_new_event(entry)
    return run.run_id


@pytest.mark.parametrize("days", [[30], [-1], [-1, 30], [30, -30]])
def test_a_living_run_outlives_clocks_that_jump(instance, kernel, days):
    assert end_orphans(instance) == []  # as the sensors do all the time
    shift = 0.0
    for jump in days:
        started_run(instance, os.getpid(), time.time() + shift)
        shift += jump * DAY_S
        kernel.show(shift)
        assert end_orphans(instance) == []


def test_a_run_from_before_the_machine_booted_again_is_ended(instance, kernel):
    kernel.show(-DAY_S, boot_id="the boot before")
    run_id = started_run(instance, os.getpid(), time.time() - DAY_S)
    assert end_orphans(instance) == []
    kernel.show(0, boot_id="this boot")
    assert end_orphans(instance) == [run_id]


def test_a_run_that_was_killed_before_it_began_is_ended_once_it_has_long_been_silent(instance):
    @dg.job
    def killed_early():
        pass

    run_id = instance.create_run_for_job(killed_early).run_id
    now = pd.Timestamp.now(tz="UTC").tz_localize(None)
    assert end_orphans(instance, now=now) == []
    later = now + SILENCE + pd.Timedelta(minutes=1)
    assert end_orphans(instance, dry_run=True, now=later) == end_orphans(instance, now=later) == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
