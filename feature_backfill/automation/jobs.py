"""Jobs: a feature set with the bars it rests on, over any hours, and the tags that tell a run its hours."""

from collections.abc import Mapping

import dagster as dg
import pandas as pd

from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.group_jobs import define_group_job
from feature_backfill.dagster_internals.listed_hours import only_hours, only_hours_tag
from feature_backfill.hours import hour_of, partition_key
from feature_backfill.planning.ranges import Batch

RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"
"""Dagster's own run tags: the partitions of a run are a range, or one. Its UI and command line set the same ones."""


def job_name(market: Market, feature_set: FeatureSet) -> str:
    """`<market>__<feature key as a slug>`."""
    return f"{market.name}__{feature_set.slug}"


def range_tags(first: pd.Timestamp, last: pd.Timestamp) -> dict[str, str]:
    """The tags that make one run of every hour from first to last, both included."""
    return {RANGE_START_TAG: partition_key(first), RANGE_END_TAG: partition_key(last)}


def batch_tags(batch: Batch) -> dict[str, str]:
    """The tags that make one run of a batch."""
    return {**range_tags(batch.first, batch.last), **({} if batch.only is None else only_hours_tag(batch.only))}


def tagged_hours(tags: Mapping[str, str], hours: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Those of the hours that a run with these tags is about."""
    span, listed = tagged_range(tags), only_hours(tags)
    if span is None or listed is not None:
        return hours[:0] if listed is None else hours.intersection(listed)
    return hours[(hours >= span[0]) & (hours <= span[1])]


def tagged_range(tags: Mapping[str, str]) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """The first and last hour of a run with these tags; None if it has no partition."""
    first, last = tags.get(RANGE_START_TAG), tags.get(RANGE_END_TAG)
    if first is None or last is None:
        first = last = tags.get(PARTITION_TAG)
    return None if first is None or last is None else (hour_of(first), hour_of(last))


def backfill_job(market: Market, feature_set: FeatureSet) -> "dg.UnresolvedAssetJobDefinition":
    """Refreshes the bars of a range, then computes what of the feature set is not stored yet."""
    bars = [bars_key(market, timeframe) for timeframe in feature_set.bar_timeframes]
    return define_group_job(
        market.name,
        job_name(market, feature_set),
        selection=dg.AssetSelection.assets(*bars, features_key(market, feature_set)),
        description=(
            f"Bars and features {feature_set.key} of {market.name}, for any range of hours. "
            "Hours that are stored already are kept, unless overwrite is set."
        ),
    )
