"""CSV and Parquet files of OHLCV rows, read by DuckDB: columns found, cells converted, no row judged.

A CSV may be packed (.zip, .csv.gz), and may be of an exchange's klines without a header.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import duckdb
import pandas as pd

from feature_backfill.engine.bars import COLUMNS
from feature_backfill.errors import UserError
from feature_backfill.store.database import scalar
from feature_backfill.store.packed import unpacked
from feature_backfill.store.sql import literal, quoted

STAMP_COLUMNS = ("timestamp", "time", "date", "datetime", "open_time", "ts")

KLINE_COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
"""The columns of an exchange's klines, which come without a header or with this one."""

SUFFIXES = (".csv", ".parquet", ".csv.gz", ".zip")
"""How the name of a file ends that can be read, in lower case."""

MOST_COLUMNS = 500
HEADER_BYTES = 64 * 1024
"""How much of a CSV file is searched for the end of its header."""

# The dialect is fixed, so that DuckDB cannot take a damaged line for a title or a comment; lines that do not have the
# header's columns are reported, not dropped in silence.
_CSV_READER = (
    "read_csv(?, {titles}, all_varchar = true, delim = ',', quote = '\"', escape = '\"', comment = '',"
    " skip = 0, store_rejects = true, hive_partitioning = false)"
)
_SHARED_MEMORY = ":memory:files of OHLCV"
_PARQUET_READER = "read_parquet(?, hive_partitioning = false)"
_KLINE = re.compile(rb"\d{9,}(,[^,]*){%d}" % (len(KLINE_COLUMNS) - 1))


@dataclass(frozen=True)
class FileRows:
    """The rows of a file, in its order.

    rows: rows x (timestamp, open, high, low, close, volume): the stamp as text, whatever its type in the file; numbers
    as float64, NaN where a cell is empty or no number.
    malformed_lines: line numbers of a CSV file that do not have the header's columns or are not UTF-8.
    """

    rows: pd.DataFrame
    malformed_lines: list[int]


def read_file(path: Path) -> FileRows:
    """Read the OHLCV columns of a .csv, .parquet, .csv.gz or .zip file; names in any case, other columns ignored.

    The stamp is in `timestamp` or, if there is none, in the only column with another customary name. A CSV whose first
    line is a row of klines has the columns KLINE_COLUMNS.

    Raises UserError if the file is missing, unreadable, empty, has a column not or twice, or is packed and holds
    something else than one CSV.
    """
    if not path.is_file():
        raise UserError(f"no file {path}; check the path")
    if not path.name.lower().endswith(SUFFIXES):
        raise UserError(f"{path} is neither .csv nor .parquet, .csv.gz or .zip; convert or rename it")
    with unpacked(path) as file:
        read = _read(path, file)
    if read.rows.empty and not read.malformed_lines:
        raise UserError(f"{path} holds no rows")
    return read


@contextmanager
def many_files() -> Iterator[None]:
    """A block in which one DuckDB instance reads every file, which is six times as fast for files of a day."""
    with duckdb.connect(_SHARED_MEMORY):
        yield


def _read(path: Path, file: Path) -> FileRows:
    """The rows of a file that is not packed. path: what the user calls it."""
    parameters = [escape(str(file))]  # DuckDB takes a path for a pattern of paths
    with duckdb.connect(_SHARED_MEMORY) as connection:
        try:
            first_line = _first_line(file)
            _require_few_columns(connection, path, first_line, parameters)
            reader = _PARQUET_READER if first_line is None else _CSV_READER.format(titles=_titles(first_line))
            header = connection.execute(f"SELECT * FROM {reader} LIMIT 0", parameters).description
            columns = [name for name, *_ in header]
            # Not materialized, DuckDB lets the CSV reader convert, which drops what TRY_CAST makes NULL
            # (duckdb/duckdb#23818).
            rows = connection.execute(
                f"WITH cells AS MATERIALIZED (FROM {reader}) SELECT {_selection(path, columns)} FROM cells", parameters
            ).df()
        except (duckdb.Error, OSError) as error:
            reason = str(error).splitlines()[0].replace(str(file), str(path))
            raise UserError(f"cannot read {path}{_csv_rules(path)}: {reason}") from error
        return FileRows(rows, [] if first_line is None else _malformed_lines(connection))


def _first_line(file: Path) -> bytes | None:
    """The first line of a CSV file; None for a Parquet file."""
    if file.suffix.lower() != ".csv":
        return None
    with file.open("rb") as opened:
        return re.split(rb"[\r\n]", opened.read(HEADER_BYTES), maxsplit=1)[0]


def _titles(first_line: bytes) -> str:
    """The argument of read_csv that says where the names of the columns are."""
    if _KLINE.fullmatch(first_line):
        return f"header = false, names = [{', '.join(map(literal, KLINE_COLUMNS))}]"
    return "header = true"


def _require_few_columns(
    connection: duckdb.DuckDBPyConnection, path: Path, first_line: bytes | None, parameters: list[str]
) -> None:
    """Raise UserError if a file has more columns than any file of OHLCV.

    DuckDB would take half a minute to bind 100,000 of them, so they are counted before it is asked for rows.
    """
    if first_line is not None:
        count = first_line.count(b",") + 1
    else:
        count = scalar(connection, "SELECT num_children FROM parquet_schema(?) LIMIT 1", parameters)
    if count > MOST_COLUMNS:
        raise UserError(
            f"{path} has more than {MOST_COLUMNS} columns, so it is no file of hourly bars; keep the columns "
            f"timestamp, {', '.join(COLUMNS)}{_csv_rules(path)}"
        )


def _malformed_lines(connection: duckdb.DuckDBPyConnection) -> list[int]:
    lines = connection.execute("SELECT DISTINCT line FROM reject_errors ORDER BY line").fetchall()
    return [line for (line,) in lines]


def _csv_rules(path: Path) -> str:
    rules = " (CSV must be UTF-8 text with a header line, commas, balanced quotes and one kind of line ending)"
    return "" if path.suffix.lower() == ".parquet" else rules


def _selection(path: Path, columns: list[str]) -> str:
    names = {name.lower(): name for name in reversed(columns)}
    lacking = [column for column in COLUMNS if column not in names]
    stamps = [column for column in STAMP_COLUMNS if column in names]
    if not stamps:
        lacking.insert(0, "timestamp")
    if lacking:
        present = ", ".join("".join(filter(str.isprintable, column)) for column in columns)
        raise UserError(f"{path} lacks the column {', '.join(lacking)}; it has {present}{_csv_rules(path)}")
    twice = [column for column in (*COLUMNS, *stamps) if f"{column}_1" in names]
    if twice:  # DuckDB counts columns of one name on
        raise UserError(f"{path} has the column {', '.join(twice)} twice; remove or rename one")
    if "timestamp" not in names and len(stamps) > 1:
        raise UserError(f"which column of {path} holds the opening time: {' or '.join(stamps)}? Rename it to timestamp")
    values = ", ".join(f"TRY_CAST({quoted(names[column])} AS DOUBLE) AS {column}" for column in COLUMNS)
    return f"CAST({quoted(names[stamps[0]])} AS VARCHAR) AS timestamp, {values}"
