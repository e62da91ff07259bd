"""Runs of other machines: launched elsewhere, or by a command line there. Their process ids mean nothing here."""

import importlib
import os
import platform
import subprocess
import sys

import dagster as dg
import pandas as pd
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.launcher import WorkerStatus

from feature_backfill.dagster_internals.orphans import HOST_TAG, SILENCE, end_orphans
from feature_backfill.errors import UserError
from feature_backfill_tests.dagster_internals.elsewhere import SETTINGS

ANOTHER = f"not-{platform.node()}"


@pytest.fixture
def shared():
    """An instance that launches its runs elsewhere."""
    with dg.instance_for_test(overrides=SETTINGS) as instance:
        yield instance


@pytest.fixture
def gone():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@dg.job
def going():
    pass


def begun(instance, pid, *, launched, **tags):
    """A run that a process has begun to execute."""
    run = instance.create_run_for_job(going, tags=tags)
    kinds = [DagsterEventType.RUN_STARTING, DagsterEventType.RUN_START] if launched else [DagsterEventType.RUN_START]
    for kind in kinds:
        instance.report_dagster_event(DagsterEvent(kind.value, going.name, pid=pid), run.run_id)
    return run.run_id


def status(instance, run_id):
    return instance.get_run_by_id(run_id).status


def test_a_launched_run_is_ended_when_its_launcher_calls_it_lost_and_its_slot_is_free(shared):
    slots = shared.event_log_storage
    slots.set_concurrency_slots("small", 1)
    run_id = begun(shared, os.getpid(), launched=True)
    assert slots.claim_concurrency_slot("small", run_id, "step").is_claimed
    assert end_orphans(shared) == []  # the head does not answer
    for health in (WorkerStatus.RUNNING, WorkerStatus.UNKNOWN):
        shared.run_launcher.health[run_id] = health
        assert end_orphans(shared) == []
    shared.run_launcher.health[run_id] = WorkerStatus.FAILED
    assert end_orphans(shared, dry_run=True) == end_orphans(shared) == [run_id]
    assert status(shared, run_id) == dg.DagsterRunStatus.FAILURE
    assert slots.get_concurrency_run_ids() == set()
    assert end_orphans(shared) == []


def test_a_launched_run_whose_process_id_is_unknown_here_goes_on(shared, gone):
    run_id = begun(shared, gone, launched=True)
    shared.run_launcher.health[run_id] = WorkerStatus.RUNNING
    assert end_orphans(shared) == []
    assert status(shared, run_id) == dg.DagsterRunStatus.STARTED


def test_a_launched_run_that_waits_for_a_node_may_be_silent_until_its_launcher_gives_it_up(shared):
    run = shared.create_run_for_job(going)
    starting = DagsterEvent(DagsterEventType.RUN_STARTING.value, going.name)
    shared.report_dagster_event(starting, run.run_id)
    later = pd.Timestamp.now(tz="UTC").tz_localize(None) + SILENCE + pd.Timedelta(minutes=1)
    for health in (WorkerStatus.RUNNING, WorkerStatus.NOT_FOUND):
        shared.run_launcher.health[run.run_id] = health
        assert end_orphans(shared, now=later) == []
    shared.run_launcher.health[run.run_id] = WorkerStatus.FAILED
    assert end_orphans(shared) == [run.run_id]


def test_a_run_that_dagster_resumes_is_left_to_it(gone):
    resuming = {"run_monitoring": {"enabled": True, "max_resume_run_attempts": 1}}
    with dg.instance_for_test(overrides=SETTINGS | resuming) as instance:
        run_id = begun(instance, gone, launched=True)
        instance.run_launcher.health[run_id] = WorkerStatus.FAILED
        assert end_orphans(instance) == []


def test_a_command_line_is_judged_by_its_own_machine_only(shared, gone):
    here, there, nowhere = (
        begun(shared, gone, launched=False, **tags) for tags in ({HOST_TAG: platform.node()}, {HOST_TAG: ANOTHER}, {})
    )
    assert end_orphans(shared) == [here]
    assert status(shared, there) == status(shared, nowhere) == dg.DagsterRunStatus.STARTED


def test_records_that_machines_share_without_a_launcher_elsewhere(instance, gone):
    begun(instance, gone, launched=False, **{HOST_TAG: ANOTHER})
    here = begun(instance, gone, launched=False)
    assert end_orphans(instance) == [here]


def test_the_launcher_for_ray_says_which_extra_brings_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "dagster_ray", None)
    for module in ("run_launcher_ray", "dagster_internals.ray_run_launcher"):
        monkeypatch.delitem(sys.modules, f"feature_backfill.{module}", raising=False)
    with pytest.raises(UserError, match=r"pip install 'feature-backfill\[cluster\]'"):
        importlib.import_module("feature_backfill.run_launcher_ray")
