"""Jobs: a feature set with the bars it rests on, over any hours."""

import dagster as dg

from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.config import FeatureSet, Market


def job_name(market: Market, feature_set: FeatureSet) -> str:
    """`<market>__<feature key as a slug>`."""
    return f"{market.name}__{feature_set.slug}"


def backfill_job(market: Market, feature_set: FeatureSet) -> "dg.UnresolvedAssetJobDefinition":
    """Refreshes the bars of a range, then computes what of the feature set is not stored yet."""
    bars = [bars_key(market, timeframe) for timeframe in feature_set.timeframes if timeframe != "1H"]
    return dg.define_asset_job(
        job_name(market, feature_set),
        selection=dg.AssetSelection.assets(*bars, features_key(market, feature_set)),
        description=f"Bars and features {feature_set.key} of {market.name}, for any range of hours.",
    )
