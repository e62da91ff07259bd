"""Dagster on a cluster: its records in PostgreSQL, its runs on the workers of Ray, the shipped settings for both."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest

from feature_backfill.commands.shared.instance import shipped_config
from feature_backfill_tests.cluster.ray_nodes import RayNodes, ray_nodes
from feature_backfill_tests.postgres import postgres_server
from feature_backfill_tests.ui.server import Dagster, Server, dagster_ui, until

BUCKET = "market-data"
POSTGRES, JOB_SERVER, HOME = "DAGSTER_POSTGRES_URL", "RAY_API_SERVER_ADDRESS", "DAGSTER_HOME"


@dataclass(frozen=True)
class Cluster:
    """Running servers. All nodes are this machine, so that its disk is shared by them.

    home: the DAGSTER_HOME, which is also the one of this process. catalog: the address of an empty database for a lake.
    """

    home: Path
    catalog: str
    nodes: RayNodes
    instance: dg.DagsterInstance

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator["Cluster"]:
        """All servers, stopped at the end of the block."""
        home = folder / "dagster_home"
        home.mkdir()
        shutil.copy(shipped_config("cluster/dagster.yaml"), home / "dagster.yaml")
        with postgres_server() as postgres, pytest.MonkeyPatch.context() as patch:
            patch.setenv(POSTGRES, postgres.new_database())
            catalog = postgres.new_catalog()
            with ray_nodes() as nodes:
                patch.setenv(JOB_SERVER, nodes.address)
                patch.setenv(HOME, str(home))
                with dg.DagsterInstance.get() as instance:
                    yield cls(home, catalog, nodes, instance)

    @contextmanager
    def dagster(self, configs: Path) -> Iterator[tuple[Server, Dagster]]:
        """A webserver and a daemon on market YAMLs, with all sensors off."""
        with dagster_ui(configs, self.home) as running:
            yield running

    def ended(self, run_id: str) -> dg.DagsterRun:
        """A run, once it has ended."""
        return until(lambda: run if (run := self._run(run_id)).is_finished else None)

    def runs_of(self, job: str) -> list[dg.DagsterRun]:
        """The runs of a job, the oldest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name=job), ascending=True))

    def runs_about(self, asset: dg.AssetKey) -> list[dg.DagsterRun]:
        """The runs that select an asset, as those of an asset backfill do, the oldest first."""
        return [run for run in self.instance.get_runs(ascending=True) if asset in (run.asset_selection or ())]

    def node_of(self, run_id: str) -> str:
        """The node that executes a run, once it has begun to."""
        return self.nodes.node_of(psutil.Process(self.pid_of(run_id)))

    def pid_of(self, run_id: str) -> int:
        """The process that executes a run, once it has begun to."""

        def started() -> int | None:
            records = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_START).records
            return records[0].event_log_entry.get_dagster_event().pid if records else None

        return until(started)

    def _run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run
