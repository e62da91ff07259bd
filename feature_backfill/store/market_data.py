"""Reading the OHLCV table of a DuckDB file that is not open yet."""

from pathlib import Path

import pandas as pd

from feature_backfill.store import ohlcv
from feature_backfill.store.bounds import Bound, utc_bound
from feature_backfill.store.database import connect


def read_ohlcv(database: Path | str, table: str, start: Bound = None, end: Bound = None) -> pd.DataFrame:
    """The hourly rows of an OHLCV table, in time order; the database is opened read-only.

    Parameters
    ----------
    database : path
        The DuckDB file.
    table : str
        The OHLCV table or view, for example "ohlcv_btcusdt_1h".
    start, end : timestamp or str, optional
        The first and the last hour, both included. UTC, unless they carry an offset. By default all rows.

    Returns
    -------
    DataFrame
        Rows x (timestamp, open, high, low, close, volume): UTC-naive datetime64[us], the opening time of the hour, and
        float64, NaN where a cell is NULL or no number. The rows are as they are stored: an hour may be missing,
        repeated or bad, and the last one may not have closed yet.

    Raises
    ------
    UserError
        If the file or the table is missing, if the table lacks a column or cannot be read, or if a bound is no
        timestamp.

    Examples
    --------
    >>> read_ohlcv("btc.duckdb", "ohlcv_btcusdt_1h", start="2024-01-01")
    """
    first, last = utc_bound("start", start), utc_bound("end", end)
    with connect(Path(database), read_only=True) as connection:
        return ohlcv.read_ohlcv(connection, table, first, last)
