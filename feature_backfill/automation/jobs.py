"""Jobs: a feature set with the bars it rests on, over any hours."""

import dagster as dg
import pandas as pd
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.config import FeatureSet, Market
from feature_backfill.hours import partition_key


def job_name(market: Market, feature_set: FeatureSet) -> str:
    """`<market>__<feature key as a slug>`."""
    return f"{market.name}__{feature_set.slug}"


def range_tags(first: pd.Timestamp, last: pd.Timestamp) -> dict[str, str]:
    """The tags that make one run of every hour from first to last, both included."""
    return {ASSET_PARTITION_RANGE_START_TAG: partition_key(first), ASSET_PARTITION_RANGE_END_TAG: partition_key(last)}


def backfill_job(market: Market, feature_set: FeatureSet) -> "dg.UnresolvedAssetJobDefinition":
    """Refreshes the bars of a range, then computes what of the feature set is not stored yet."""
    bars = [bars_key(market, timeframe) for timeframe in feature_set.bar_timeframes]
    return dg.define_asset_job(
        job_name(market, feature_set),
        selection=dg.AssetSelection.assets(*bars, features_key(market, feature_set)),
        description=(
            f"Bars and features {feature_set.key} of {market.name}, for any range of hours. "
            "Hours that are stored already are kept, unless overwrite is set."
        ),
    )
