"""Parquet files of features, each of which appears whole or not at all."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from feature_backfill.errors import UserError
from feature_backfill.paths import written_whole

_NOTE = b"feature_backfill"


def write_parquet(features: pd.DataFrame, file: Path, note: str = "") -> None:
    """Write a column ts and one of each feature. note: kept in the file's metadata for read_note.

    Raises UserError if the file cannot be written.
    """
    table = pa.Table.from_pandas(features.reset_index(), preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, _NOTE: note.encode()})
    try:
        with written_whole(file) as unfinished:
            pq.write_table(table, unfinished)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error


def read_note(file: Path) -> str:
    """The note in a file; empty if there is no such file, if it has none, or if it is no Parquet file."""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (OSError, pa.ArrowException):
        return ""
    return metadata.get(_NOTE, b"").decode()
