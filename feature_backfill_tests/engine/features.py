"""Features of any catalogue, computed from frames."""

from collections.abc import Iterable, Sequence

import pandas as pd

from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.catalog import Catalog
from feature_backfill.engine.columns import Column
from feature_backfill.engine.compute import compute_rows
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.timeframes import DEFAULT_TIMEFRAMES
from feature_backfill.hours import to_utc


def features_of(
    catalog: Catalog,
    ohlcv: pd.DataFrame,
    targets: Iterable[object],
    base_hours: int = 720,
    *timeframes: str,
    columns: Sequence[Column] = (),
) -> pd.DataFrame:
    """Hours x features of a catalogue; the default timeframes unless some are named."""
    rows, hours = HourlyRows.of(ohlcv, columns), to_utc(targets)
    return compute_rows(rows, hours, Lookback(base_hours), timeframes or DEFAULT_TIMEFRAMES, {}, catalog).features
