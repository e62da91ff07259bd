"""The command line in a process of its own, which can be killed at any moment, or meet a fault at a chosen point.

A fault is a function that prepares the process before the command begins. Processes are forked from one that has
imported everything, so that starting one takes no time.
"""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import feature_backfill.assets.bars
import feature_backfill.assets.rows
import feature_backfill.assets.run_events
import feature_backfill.commands.repair
import feature_backfill.commands.run
from feature_backfill.cli import main
from feature_backfill.errors import UserError
from feature_backfill.event_log import BatchedSqliteEventLogStorage
from feature_backfill.store import bars, database, features
from feature_backfill_tests.full_disk import no_room
from feature_backfill_tests.holders import held_by_another_process

PATIENCE_S = 600

Fault = Callable[[], None]

_numbers = count()
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["feature_backfill_tests.faults.driver"])


class Command:
    """A command that runs in a folder, which is its DAGSTER_HOME too."""

    def __init__(self, folder: Path, arguments: Sequence[str], *faults: Fault):
        self._log = folder / f"command-{next(_numbers)}.log"
        self._log.touch()  # for a command that is killed before it says anything
        self._process = _forking.Process(target=_execute, args=(folder, self._log, arguments, faults))
        self._process.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.exitcode is None

    def ended(self) -> tuple[int | None, str]:
        """Its exit code, which is negative if a signal ended it, and what it said. A command that hangs is killed."""
        self._process.join(PATIENCE_S)
        return self.kill()

    def kill(self) -> tuple[int | None, str]:
        """The same, at once: SIGKILL, unless it has ended by itself."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode, self._log.read_text()


def in_a_process(function: Callable[[Path], None], path: Path) -> int | None:
    """The exit code of a function that is called in a process of its own."""
    process = _forking.Process(target=function, args=(path,))
    process.start()
    process.join(PATIENCE_S)
    return process.exitcode


def _execute(folder: Path, log: Path, arguments: Sequence[str], faults: Sequence[Fault]) -> None:
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(folder)
    os.environ["DAGSTER_HOME"] = str(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for fault in faults:
        fault()
    sys.exit(main(list(arguments)))


def die(*_: object, **__: object) -> None:
    """Be killed, with no chance to clean up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _with_commit(commit: Callable[[Any], None]) -> Any:
    """database.in_transaction with another way to commit."""

    def in_transaction(connection: Any, work: Callable[[], Any]) -> Any:
        handle: Any = SimpleNamespace(
            begin=connection.begin, rollback=connection.rollback, commit=partial(commit, connection)
        )
        with database.transaction(handle):
            return work()

    return in_transaction


def _commit_without_room(connection: Any, deadly: bool = False) -> None:
    with no_room(512, deadly):
        connection.commit()


def _commit_and_be_killed(connection: Any) -> None:
    _commit_without_room(connection, deadly=True)


def killed_within_the_commit() -> None:
    features.in_transaction = _with_commit(_commit_and_be_killed)


def killed_within_the_checkpoint() -> None:
    def write(connection: Any, *arguments: Any) -> int:
        written = features.write_features(connection, *arguments)
        with no_room(Path(database.database_path(connection)).stat().st_size + 4096, deadly=True):
            connection.execute("CHECKPOINT")
        return written

    feature_backfill.assets.rows.write_features = write


def killed_within_the_events() -> None:
    """When the events of the features are in the run's own log, and in the index that spans all runs not for good."""
    store = BatchedSqliteEventLogStorage.store_entries

    def store_entries(self: Any, run_id: str, entries: Sequence[Any]) -> None:
        events = [entry.dagster_event for entry in entries]
        if any(event.is_step_materialization and "features" in (event.step_key or "") for event in events):
            self._store_asset_event = die
        store(self, run_id, entries)

    BatchedSqliteEventLogStorage.store_entries = store_entries  # type: ignore[method-assign]


def killed_within_a_commit_of_bars() -> None:
    bars.in_transaction = _with_commit(_commit_and_be_killed)


def disk_full_for_features() -> None:
    features.in_transaction = _with_commit(_commit_without_room)


def create_without_room(path: Path) -> None:
    """In a process of its own, open a new database on a full disk."""
    with no_room(), suppress(UserError), database.connect(path, read_only=False):
        sys.exit("opened")


def disk_full_for_events() -> None:
    report = feature_backfill.assets.run_events.report_hours

    def report_hours(*arguments: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, resource.RLIM_INFINITY))  # of which the log needs some
        report(*arguments)

    feature_backfill.assets.run_events.report_hours = report_hours


def impatient() -> None:
    """Wait for a database that is taken no longer than a moment."""
    database.connect.__wrapped__.__kwdefaults__["patience"] = 0.3  # type: ignore[attr-defined]


def target_taken_by_a_reader() -> None:
    """Another process opens the target database once the command has looked into it, and keeps it."""
    backfill = feature_backfill.commands.run.backfill

    def backfill_meanwhile(instance: Any, market: Any, *arguments: Any) -> Any:
        with held_by_another_process(market.target_database, read_only=True) as holder:
            print(f"holder: {holder.pid}", flush=True)
            return backfill(instance, market, *arguments)

    feature_backfill.commands.run.backfill = backfill_meanwhile
