"""Dagster's event log on PostgreSQL, written in bulk.

Rests on these facts of Dagster 1.13.27 (dagster-postgres 0.29.27), none of them public: one table holds both the logs
of the runs and what is asked about assets; a question about an asset names its key; the log of a run is read by
`get_records_for_run`, a query of the table by the run's id; its own `from_config_value` makes its own class only.

So a line of the log has no asset key here. The rows of the partitions, which have no step key, are left out when the
log of a run is read. Events of no run have no step key either: nothing reads a log of theirs.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as db
from dagster import DagsterEventType, EventLogEntry
from dagster._core.event_api import EventLogCursor, EventLogRecord
from dagster._core.storage.event_log.base import EventLogConnection
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData, deserialize_value
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

from feature_backfill.dagster_internals.bulk_events import BULK_TYPES, EventsInBulk, Row

_WRITE_ALONE = db.text(f"LOCK TABLE {SqlEventLogStorageTable.name} IN SHARE ROW EXCLUSIVE MODE")


class BatchedPostgresEventLogStorage(EventsInBulk, PostgresEventLogStorage):
    """Dagster's event log on PostgreSQL, same tables, that writes the asset events of many hours in one go.

    Switched on in `$DAGSTER_HOME/dagster.yaml`, with the configuration that Dagster's own storage takes::

        event_log_storage:
          module: feature_backfill.event_log_postgres
          class: BatchedPostgresEventLogStorage
          config:
            postgres_url: {env: DAGSTER_POSTGRES_URL}
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedPostgresEventLogStorage":
        """The storage that `dagster.yaml` configures; Dagster calls this when it opens the instance."""
        cls.switch_batches_on()
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )

    def log_transaction(self, run_id: str) -> AbstractContextManager[db.Connection]:
        """The one table."""
        return self.index_transaction()

    @contextmanager
    def rows_transaction(self) -> Iterator[db.Connection]:
        """A transaction in which others read events but wait before they add any.

        Dagster remembers the newest event that it has seen of an asset, and later asks for those with higher ids. It
        would never see events that got their ids first and were committed last.
        """
        with self.index_transaction() as connection:
            connection.execute(_WRITE_ALONE)
            yield connection

    def log_line(self, event: EventLogEntry) -> Row:
        """The row as Dagster writes it, but without what questions about the asset go by."""
        return self._event_to_row(event) | {"asset_key": None, "partition": None}

    def store_each(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """Store asset events of one run in one transaction."""
        insert = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        with self.rows_transaction() as connection:
            ids = connection.scalars(insert, [self._event_to_row(event) for event in events]).all()
            self.note_each(connection, events, ids)

    def get_records_for_run(
        self,
        run_id: str,
        cursor: str | None = None,
        of_type: DagsterEventType | set[DagsterEventType] | None = None,
        limit: int | None = None,
        ascending: bool = True,
    ) -> EventLogConnection:
        """The log of a run, without the rows that its lines stand for."""
        columns = SqlEventLogStorageTable.c
        kind = db.func.coalesce(columns.dagster_event_type, "")
        is_line = db.or_(columns.step_key.isnot(None), kind.not_in([bulk.value for bulk in BULK_TYPES]))
        query = db.select(columns.id, columns.event).where(columns.run_id == run_id, is_line)
        if of_type:
            kinds = {of_type} if isinstance(of_type, DagsterEventType) else of_type
            query = query.where(kind.in_([wanted.value for wanted in kinds]))
        query = _after(query, cursor, ascending).order_by(columns.id if ascending else columns.id.desc()).limit(limit)
        with self.run_connection(run_id) as connection:
            rows: Sequence[Any] = connection.execute(query).all()
        records = [EventLogRecord(storage_id, deserialize_value(text, EventLogEntry)) for storage_id, text in rows]
        newest = EventLogCursor.from_storage_id(records[-1].storage_id if records else -1).to_string()
        return EventLogConnection(
            records, cursor if cursor and not records else newest, has_more=limit is not None and len(rows) == limit
        )


def _after(query: db.Select[Any], cursor: str | None, ascending: bool) -> db.Select[Any]:
    """The query of the rows behind a cursor."""
    if cursor is None:
        return query
    place = EventLogCursor.parse(cursor)
    if place.is_offset_cursor():
        return query.offset(place.offset())
    column = SqlEventLogStorageTable.c.id
    return query.where(column > place.storage_id() if ascending else column < place.storage_id())
