"""The hours of a run."""

import dagster as dg
import pandas as pd

from feature_backfill.hours import hour_of, hour_range


def hours_of_run(context: dg.AssetExecutionContext) -> pd.DatetimeIndex:
    """Every hour of the run's partition range."""
    keys = context.partition_key_range
    return hour_range(hour_of(keys.start), hour_of(keys.end))
