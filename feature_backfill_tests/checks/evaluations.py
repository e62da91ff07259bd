"""A market that is stored up to the last closed hour, and its checks executed one at a time."""

import dagster as dg

from feature_backfill.assets.names import bars_key, checks_key, features_key, ohlcv_key
from feature_backfill.automation.jobs import range_tags
from feature_backfill.config import Market
from feature_backfill.definitions import build_definitions
from feature_backfill.hours import HOUR, hour_range, last_closed_hour
from feature_backfill_tests.markets import execute_on_target, small_market

HOURS, LOOKBACK = 300, 60
LAST = last_closed_hour()
FIRST = LAST - (HOURS - 1) * HOUR
STORED = hour_range(FIRST + (LOOKBACK - 1) * HOUR, LAST)
NAME = "close_rsi_14_1H"
OHLCV_CHECKS = {"continuity", "sanity"}
FEATURES_CHECKS = {"freshness", "completeness", "corrections", "feature_names", "missing_values", "parity"}


def current_market(folder) -> Market:
    feature_set = {"key": "short", "base_hours": LOOKBACK, "timeframes": ["1H", "4H"]}
    return small_market(folder, first_hour=FIRST, feature_sets=[feature_set])


def materialize(instance, market, first, last):
    """What the UI and `dagster asset materialize` do with a selection of assets and a range."""
    keys = {bars_key(market, "4H"), features_key(market, market.feature_sets[0])}
    job = build_definitions([market]).resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    return job.execute_in_process(instance=instance, tags=range_tags(first, last))


def executed(market, name, config=None):
    """What the UI does when a check is executed on its own; recorded in memory."""
    on = ohlcv_key(market) if name in OHLCV_CHECKS else features_key(market, market.feature_sets[0])
    key = dg.AssetCheckKey(checks_key(on), name)
    job = build_definitions([market]).resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={key})
    step = key.asset_key.to_python_identifier()
    return job.execute_in_process(
        raise_on_error=False,
        run_config={"ops": {step: {"config": config}}} if config else None,
    )


def look(market, name, **config):
    (evaluation,) = executed(market, name, config).get_asset_check_evaluations()
    return evaluation


def metadata(evaluation, name):
    entry = evaluation.metadata[name]
    return [record.data for record in entry.records] if isinstance(entry, dg.TableMetadataValue) else entry.value


def replace_in_rows(market, pattern, replacement, first, last):
    """Replace what a regular expression matches in the stored JSON of a range of hours."""
    statement = "UPDATE features SET features = regexp_replace(features, ?, ?) WHERE ts BETWEEN ? AND ?"
    execute_on_target(market, statement, pattern, replacement, first, last)
