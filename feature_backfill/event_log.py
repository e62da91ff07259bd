"""The storage's public address: every `dagster.yaml` copied from configs/ names the class under this module.

It must therefore stay importable from here, wherever it is built.
"""

from feature_backfill.dagster_internals.event_log_storage import BatchedSqliteEventLogStorage

__all__ = ["BatchedSqliteEventLogStorage"]
