"""The storage's public address on PostgreSQL: a `dagster.yaml` names the class under this module.

It must therefore stay importable from here, wherever it is built.
"""

from feature_backfill.errors import UserError

try:
    from feature_backfill.dagster_internals.postgres_event_log_storage import BatchedPostgresEventLogStorage
except ModuleNotFoundError as error:
    if error.name != "dagster_postgres":
        raise
    raise UserError(
        "dagster.yaml keeps the event log in PostgreSQL, for which a package is missing: "
        "pip install 'feature-backfill[postgres]'"
    ) from error

__all__ = ["BatchedPostgresEventLogStorage"]
