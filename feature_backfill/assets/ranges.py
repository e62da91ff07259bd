"""The hours of a run."""

import dagster as dg
import pandas as pd

from feature_backfill.dagster_internals.listed_hours import only_hours
from feature_backfill.hours import hour_of, hour_range


def hours_of_run(context: dg.AssetExecutionContext) -> pd.DatetimeIndex:
    """The hours that the run lists or, without a list, every hour of its partition range; ascending."""
    listed = only_hours(context.run.tags)
    if listed is not None:
        return listed
    keys = context.partition_key_range
    return hour_range(hour_of(keys.start), hour_of(keys.end))
