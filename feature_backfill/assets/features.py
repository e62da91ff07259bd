"""The asset of a feature set: one row an hour, computed in bulk, or skipped with a reason."""

from collections.abc import Iterator, Mapping

import dagster as dg
from pydantic import Field

from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.late_rows import wait_for_rows
from feature_backfill.assets.names import (
    asset_link,
    checks_key,
    features_key,
    hourly_partitions,
    market_metadata,
    writer_pool,
)
from feature_backfill.assets.ranges import hours_of_run
from feature_backfill.assets.rows import make_rows, upstream_keys, upstream_of
from feature_backfill.assets.target import TARGETS
from feature_backfill.config import FeatureSet, Market
from feature_backfill.planning.plan import Keep

OVERWRITE_TAG = "feature_backfill/overwrite"
STALE_TAG = "feature_backfill/stale"
"""Run tags. With the value "true" they do what the options of these names do, for launchers that take no run config."""


class FeaturesConfig(dg.Config):
    """Options of a run."""

    overwrite: bool = Field(default=False, description="Replace stored rows: compute their hours anew.")
    stale: bool = Field(
        default=False, description="Replace stored rows whose OHLCV was corrected since they were computed."
    )
    at_most: int = Field(default=0, ge=0, description="Compute no more than so many hours, the oldest. 0: all.")

    def keep(self, run_tags: Mapping[str, str]) -> Keep:
        """Which stored rows the run keeps. A run tag does what the option of its name does."""
        if self.overwrite or run_tags.get(OVERWRITE_TAG) == "true":
            return Keep.NONE
        return Keep.CURRENT if self.stale or run_tags.get(STALE_TAG) == "true" else Keep.ALL

    @staticmethod
    def options(keep: Keep) -> dict[str, bool]:
        """The options that make a run keep these rows."""
        return {"overwrite": keep is Keep.NONE, "stale": keep is Keep.CURRENT}


def features_asset(market: Market, feature_set: FeatureSet) -> dg.AssetsDefinition:
    """The rows of one feature set.

    A skipped hour stays missing and is recorded as skipped, with its reason. A kept hour is reported as materialized.
    So the asset reports each hour itself and yields no output for the range.
    """
    names = feature_set.names
    key = features_key(market, feature_set)

    @dg.asset(
        key=key,
        deps=upstream_keys(market, feature_set),
        description=(
            f"{len(names)} features of each closed hour of {market.name} under the key {feature_set.key}, "
            f"from the last {feature_set.lookback.hours} hours, on {', '.join(feature_set.timeframes)} bars. "
            f"Its checks are on {asset_link(checks_key(key), 'checks')}. An hour that cannot be computed is missing; "
            f"why_missing says why, and so does the tab Events, under the hour. Numbers of each row: Metadata, Plots."
        ),
        group_name=market.name,
        kinds={"duckdb", "numpy"},
        owners=list(market.owners),
        partitions_def=hourly_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=writer_pool(market),
        required_resource_keys={TARGETS, "progress"},
        output_required=False,
        metadata={
            "checks": dg.MetadataValue.asset(checks_key(key)),
            "dagster/table_name": "features",
            # As the schema of its columns, Dagster would show hundreds of lines above everything else.
            "features": dg.MetadataValue.md(features_table(feature_set)),
            "database": dg.MetadataValue.path(str(market.target)),
            "feature_key": feature_set.key,
            "contract": dg.MetadataValue.json(feature_set.contract(market).summary()),
            **market_metadata(market),
        },
    )
    def features(context: dg.AssetExecutionContext, config: FeaturesConfig) -> Iterator[dg.MaterializeResult[None]]:
        hours = hours_of_run(context)
        with user_errors_fail_the_step():
            wait_for_rows(context, market, hours)
            upstream = upstream_of(context.instance, market, feature_set)
            plan = plan_of(market, feature_set, hours, config.keep(context.run.tags)).at_most(config.at_most)
            make_rows(context, market, feature_set, plan, upstream)
        yield from ()

    return features


def features_table(feature_set: FeatureSet) -> str:
    """The stored features in their order, as Markdown: each with its summary and the timeframes it is stored of.

    A schema with a column for each name says the same in 15 times the room, of which Dagster's processes keep a copy
    for each feature set.
    """
    timeframes: dict[str, list[str]] = {}
    for name in feature_set.names:
        feature, _, timeframe = name.rpartition("_")
        timeframes.setdefault(feature, []).append(timeframe)
    summaries = {feature.name: feature.summary for feature in feature_set.catalog.features}
    lines = [f"| {name}_... | {', '.join(stored)} | {summaries[name]} |" for name, stored in timeframes.items()]
    return "\n".join(["| feature | on bars of | what it is |", "|---|---|---|", *lines])
