"""The command line in a process of its own, which a fault befalls at a chosen point.

A fault is a function that prepares the process before the command begins. Processes are forked from one that has
imported everything, so that each costs no more than what it does.
"""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import feature_backfill.assets.bars
import feature_backfill.assets.features
import feature_backfill.commands.repair
import feature_backfill.commands.run
from feature_backfill.cli import main
from feature_backfill.errors import UserError
from feature_backfill.event_log import BatchedSqliteEventLogStorage
from feature_backfill.store import bars, database, features

PATIENCE_S = 120
HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
sys.stdin.read()
"""

Fault = Callable[[], None]

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["feature_backfill_tests.faults.driver"])


class Command:
    """A command that runs in a folder, which is its DAGSTER_HOME too."""

    def __init__(self, folder: Path, arguments: Sequence[str], *faults: Fault):
        self._log = folder / "command.log"
        self._process = _forking.Process(target=_execute, args=(folder, self._log, arguments, faults))
        self._process.start()

    def ended(self) -> tuple[int | None, str]:
        """Its exit code, which is negative if a signal ended it, and what it said."""
        self._process.join(PATIENCE_S)
        if self._process.exitcode is None:
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


@contextmanager
def no_room(size: int = 0, deadly: bool = False) -> Iterator[None]:
    """No file can grow beyond a size: the write that would fails, or kills the process in the middle of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _with_commit(commit: Callable[[Any], None]) -> Any:
    """database.transaction with another way to commit."""

    @contextmanager
    def transaction(connection: Any) -> Iterator[None]:
        handle: Any = SimpleNamespace(
            begin=connection.begin, rollback=connection.rollback, commit=partial(commit, connection)
        )
        with database.transaction(handle):
            yield

    return transaction


def _commit_without_room(connection: Any, deadly: bool = False) -> None:
    with no_room(512, deadly):
        connection.commit()


def _commit_and_be_killed(connection: Any) -> None:
    _commit_without_room(connection, deadly=True)


def killed_within_the_commit() -> None:
    features.transaction = _with_commit(_commit_and_be_killed)


def killed_within_the_checkpoint() -> None:
    def write(connection: Any, *arguments: Any) -> int:
        written = features.write_features(connection, *arguments)
        with no_room(Path(database.database_path(connection)).stat().st_size + 4096, deadly=True):
            connection.execute("CHECKPOINT")
        return written

    feature_backfill.assets.features.write_features = write


def killed_within_the_events() -> None:
    """When the events of the features are in the run's own log, and in the index that spans all runs not for good."""
    store = BatchedSqliteEventLogStorage.store_entries

    def store_entries(self: Any, run_id: str, entries: Sequence[Any]) -> None:
        events = [entry.first.get_dagster_event() for entry in entries]
        if any(event.is_step_materialization and "features" in (event.step_key or "") for event in events):
            self._store_asset_event = die
        store(self, run_id, entries)

    BatchedSqliteEventLogStorage.store_entries = store_entries  # type: ignore[method-assign]


def killed_within_a_commit_of_bars() -> None:
    bars.transaction = _with_commit(_commit_and_be_killed)


def disk_full_for_features() -> None:
    features.transaction = _with_commit(_commit_without_room)


def create_without_room(path: Path) -> None:
    """In a process of its own, open a new database on a full disk."""
    with no_room(), suppress(UserError), database.connect(path, read_only=False):
        sys.exit("opened")


def disk_full_for_events() -> None:
    report = feature_backfill.assets.features.report_hours

    def report_hours(*arguments: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))  # of which the log needs some
        report(*arguments)

    feature_backfill.assets.features.report_hours = report_hours


def impatient() -> None:
    """Wait for a database that is taken no longer than a moment."""
    database.connect.__wrapped__.__kwdefaults__["patience"] = 0.3  # type: ignore[attr-defined]


def target_taken_by_a_reader() -> None:
    """Another process opens the target database once the command has looked into it, and keeps it."""
    backfill = feature_backfill.commands.run.backfill

    def backfill_meanwhile(instance: Any, market: Any, *arguments: Any) -> Any:
        command = [sys.executable, "-c", HOLDER, str(market.target_database)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None and holder.stdout.readline() == "open\n"
            print(f"holder: {holder.pid}", flush=True)
            return backfill(instance, market, *arguments)

    feature_backfill.commands.run.backfill = backfill_meanwhile
