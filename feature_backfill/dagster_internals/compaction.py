"""Making an event log on SQLite that earlier versions, or Dagster's own storage, wrote as small as one of today.

They kept a long row for each hour of an event twice: in the log of the run, and in the index over all runs.

* In the logs of runs that have ended, the hours of an event become the line that `bulk_events` writes today. So does
  what was reported without a run.
* In the index, the row of each hour stays, with its id. Its JSON becomes short, and `step_key` empty.

Every transaction leaves a log that is valid and complete, so the process may be killed at any time, and started again.
Only rows of the asset events of hours are touched, by their id. What others write meanwhile is left alone.

Rests on these facts of Dagster 1.13.27, none of them public:

* a run has a database of its own, `<run id>.db`, and nothing but its page reads the asset events in it, if questions
  about its partitions go to the index as in `BatchedSqliteEventLogStorage`;
* what was reported without a run is in the log of the run "", which no page shows;
* `_initialized_dbs` names the databases whose version Dagster need not look up, which takes it 40 ms each;
* writers wait 30 s for a lock of SQLite;
* `serialize_value` writes JSON with a space after each colon, where `PartitionedEntry.texts` writes none.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import sqlalchemy as db
from dagster import DagsterInstance, EventLogEntry, RunsFilter
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES, FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._serdes import deserialize_value
from sqlalchemy.exc import OperationalError

from feature_backfill.dagster_internals.alike import Alike, alike
from feature_backfill.dagster_internals.bulk_events import BATCH_SIZE
from feature_backfill.dagster_internals.event_log_storage import BatchedSqliteEventLogStorage
from feature_backfill.dagster_internals.partitioned_entries import bare
from feature_backfill.errors import UserError

LONG_JSON = '{"__class__": "'
_OWES_SPACE, _OWES_NONE = "PRAGMA user_version = 1", "PRAGMA user_version = 0"
"""What a database keeps of a compaction until its file is rewritten. Neither Dagster nor SQLite uses this number."""

SHORTENED_WITHIN_S = 30
"""How long to wait until a rewritten file is shorter. If others keep it from that, it becomes so when they close it."""

_ROWS = SqlEventLogStorageTable
_COLUMNS = SqlEventLogStorageTable.c


@dataclass
class Compaction:
    """What a compaction did, or would do.

    before, now: bytes on disk; of a dry run, `now` is an estimate. runs: whose logs became shorter. going: runs that
    were left alone, since they have not ended. left: what could not be done now, and why.
    """

    folder: Path
    dry_run: bool
    before: int = 0
    now: int = 0
    runs: int = 0
    hours: int = 0
    going: int = 0
    left: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line: `/home/history/runs: 602.0 MB before, 70.0 MB now; 12 runs compacted, 3 going on left alone`."""
        now = "about {} afterwards" if self.dry_run else "{} now"
        done = "to compact" if self.dry_run else "compacted"
        return (
            f"{self.folder}: {_size(self.before)} before, {now.format(_size(self.now))}; "
            f"{self.runs:,} runs and {self.hours:,} hours of the index {done}, {self.going:,} runs going on left alone"
        )


def compact(instance: DagsterInstance, dry_run: bool = False, own_run: str | None = None) -> Compaction:
    """Compact the event log of an instance. dry_run: write nothing. own_run: that this is part of, if any.

    A database that somebody keeps locked is left as it is. So is the free space of the index while runs go on: they
    could not write to it until it is rewritten.

    Raises UserError if the event log is not the batched one on SQLite.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, BatchedSqliteEventLogStorage):
        raise UserError(
            f"this instance keeps its events in {type(storage).__name__}; only those of BatchedSqliteEventLogStorage "
            "can be compacted. For SQLite, take event_log_storage from configs/dagster.yaml into $DAGSTER_HOME"
        )
    going = set(instance.get_run_ids(RunsFilter(statuses=NOT_FINISHED_STATUSES))) - {own_run}
    stored = set(storage.get_all_run_ids())  # without that of no run, which is a hidden file
    ended = stored.intersection(instance.get_run_ids(RunsFilter(statuses=FINISHED_STATUSES)))
    storage._initialized_dbs.update(ended)
    done = Compaction(Path(storage.path_for_shard(INDEX_SHARD_NAME)).parent, dry_run, going=len(going & stored))
    done.before = _bytes(done.folder)
    spared = 0.0
    runless = [RUNLESS_RUN_ID] if Path(storage.path_for_shard(RUNLESS_RUN_ID)).exists() else []
    for run_id in [*runless, *sorted(ended)]:
        with _unless_locked(done, run_id):
            saved = _compact_log(storage, run_id, dry_run)
            done.runs += run_id != RUNLESS_RUN_ID and saved > 0
            if dry_run:
                spared += _estimate(storage, run_id, saved)
            else:
                _give_back(storage, run_id)
    with _unless_locked(done, INDEX_SHARD_NAME):
        saved = 0
        for hours, less in _compact_index(storage, dry_run):
            done.hours += hours
            saved += less
        if dry_run:
            spared += _estimate(storage, INDEX_SHARD_NAME, saved)
        else:
            _give_back_index(instance, storage, done, own_run)
    done.now = round(done.before - spared) if dry_run else _bytes(done.folder)
    return done


def _compact_log(storage: BatchedSqliteEventLogStorage, run_id: str, dry_run: bool) -> int:
    """Put a line in the place of the hours of each event in the log of a run; returns by how much JSON it is less."""
    saved, lines, dropped = 0, [], []
    with storage.run_connection(run_id) as connection:
        for some in _neighbours(connection):
            entry = None if some.described or len(some.ids) == 1 else some.entry
            if entry is None:
                continue
            row = storage.log_line(_of_no_partition_if_planned(entry.line))
            *others, kept = some.ids
            lines.append({"of": kept, "text": row["event"], "of_partition": row["partition"]})
            dropped += [{"of": number} for number in others]
            saved += some.size - len(row["event"])
        if lines and not dry_run:
            by_id = _COLUMNS.id == db.bindparam("of")
            line: dict[str, db.BindParameter[str]] = {
                "event": db.bindparam("text"),
                "partition": db.bindparam("of_partition"),
            }
            connection.execute(_ROWS.update().where(by_id).values(line), lines)
            connection.execute(_ROWS.delete().where(by_id), dropped)
            connection.exec_driver_sql(_OWES_SPACE)
    return saved


def _neighbours(connection: db.Connection) -> Iterator[Alike]:
    """The asset events of a log, alike ones put together, without any from before and after another event.

    So what happened between them, a retry for instance, stays between the lines.
    """
    of_partition = _COLUMNS.partition.isnot(None)
    query = db.select(_COLUMNS.id, db.case((of_partition, _COLUMNS.event))).order_by(_COLUMNS.id)
    rows = connection.execute(query).yield_per(BATCH_SIZE)
    for has_partition, some in groupby(rows, key=lambda row: row[1] is not None):
        if has_partition:
            yield from alike((number, text) for number, text in some)


def _of_no_partition_if_planned(line: EventLogEntry) -> EventLogEntry:
    """A line that plans many partitions names none of them."""
    event = line.get_dagster_event()
    data = event.event_specific_data
    if not isinstance(data, AssetMaterializationPlannedData):
        return line
    return line._replace(dagster_event=event._replace(event_specific_data=data._replace(partition=None)))


def _compact_index(storage: BatchedSqliteEventLogStorage, dry_run: bool) -> Iterator[tuple[int, int]]:
    """Shorten the rows of hours in the index; yields of each batch how many these are, and by how much JSON less."""
    done = 0
    while True:
        of_batch = (
            db.select(_COLUMNS.id, _COLUMNS.event)
            .where(_COLUMNS.id > done, _COLUMNS.partition.isnot(None))
            .where(db.func.substr(_COLUMNS.event, 1, len(LONG_JSON)) == LONG_JSON)
            .order_by(_COLUMNS.id)
            .limit(BATCH_SIZE)
        )
        with storage.index_connection() as connection:
            rows = [(number, text) for number, text in connection.execute(of_batch)]
        if not rows:
            return
        done, _ = rows[-1]
        short = dict(_short(alike(rows)))
        if short and not dry_run:
            change = _ROWS.update().where(_COLUMNS.id == db.bindparam("of"))
            change = change.values(event=db.bindparam("text"), step_key=None)
            with storage.index_transaction() as connection:
                connection.execute(change, [{"of": number, "text": text} for number, text in short.items()])
                connection.exec_driver_sql(_OWES_SPACE)
        yield len(short), sum(len(text) - len(short[number]) for number, text in rows if number in short)


def _short(found: Iterable[Alike]) -> Iterator[tuple[int, str]]:
    """The id of each entry with its short JSON."""
    for some in found:
        entry = some.entry
        if entry is None:
            continue
        texts = list(entry.texts(bare))
        if deserialize_value(texts[-1], EventLogEntry) == bare(entry.last):
            yield from zip(some.ids, texts, strict=True)


def _give_back(storage: BatchedSqliteEventLogStorage, shard: str) -> None:
    """Rewrite a database that this or an interrupted compaction has shortened, so that its file becomes smaller."""
    if _owes_space(storage, shard):
        with storage.run_connection(shard) as connection:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql(_OWES_NONE)
            deadline = time.monotonic() + SHORTENED_WITHIN_S
            while _is_busy(connection) and time.monotonic() < deadline:
                time.sleep(0.2)


def _is_busy(connection: db.Connection) -> bool:
    """Have SQLite bring what it keeps beside a file into the file; True if others are at it just now."""
    busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    return bool(busy)


def _give_back_index(
    instance: DagsterInstance, storage: BatchedSqliteEventLogStorage, done: Compaction, own_run: str | None
) -> None:
    """Rewrite the index, unless runs go on: what waits 30 s for it would fail."""
    active = set(instance.get_run_ids(RunsFilter(statuses=ACTIVE_RUN_STATUSES))) - {own_run}
    if not active:
        _give_back(storage, INDEX_SHARD_NAME)
    elif _owes_space(storage, INDEX_SHARD_NAME):
        done.left.append(
            f"{INDEX_SHARD_NAME}.db has free space that it keeps for new events while {len(active):,} runs go on; "
            "compact once more when none does"
        )


def _owes_space(storage: BatchedSqliteEventLogStorage, shard: str) -> bool:
    with storage.run_connection(shard) as connection:
        return bool(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _estimate(storage: BatchedSqliteEventLogStorage, shard: str, saved: int) -> float:
    """The bytes by which a file would be smaller: its part that the JSON to be saved is of all."""
    if not saved:
        return 0
    with storage.run_connection(shard) as connection:
        every = connection.scalars(db.select(db.func.sum(db.func.length(_COLUMNS.event)))).one()
    return Path(storage.path_for_shard(shard)).stat().st_size * saved / every


@contextmanager
def _unless_locked(done: Compaction, shard: str) -> Iterator[None]:
    """Go on after a database that somebody keeps locked, and say so."""
    try:
        yield
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        done.left.append(f"{shard}.db is left as it is: {error.orig}")


def _bytes(folder: Path) -> int:
    total = 0
    for file in folder.glob("*.db*"):
        with suppress(FileNotFoundError):  # what SQLite keeps beside a database comes and goes
            total += file.stat().st_size
    return total


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
