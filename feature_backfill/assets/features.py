"""The asset of a feature set: one row an hour, computed in bulk, or skipped with a reason."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
import numpy as np
import pandas as pd
from pydantic import Field

from feature_backfill.assets.bars import checked_bars
from feature_backfill.assets.decisions import plan_of, standing_of
from feature_backfill.assets.failures import user_errors_fail_the_step
from feature_backfill.assets.late_rows import wait_for_rows
from feature_backfill.assets.names import (
    asset_link,
    bars_key,
    checks_key,
    features_key,
    hourly_partitions,
    market_metadata,
    ohlcv_key,
    writer_pool,
)
from feature_backfill.assets.progress import ProgressListener, RunReport
from feature_backfill.assets.ranges import hours_of_run
from feature_backfill.assets.run_events import Upstream, report_run
from feature_backfill.assets.run_summary import PREVIEW_FEATURES, PREVIEW_HOURS, run_metadata
from feature_backfill.assets.target import target_key, target_of_run
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.partition_status import forget_failures
from feature_backfill.dagster_internals.versions import newest_event
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.catalog import feature_summaries
from feature_backfill.engine.compute import compute_rows
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import partition_keys
from feature_backfill.planning.counting import count_hours
from feature_backfill.planning.plan import Keep, Plan
from feature_backfill.planning.standing import Standing
from feature_backfill.planning.wording import skip_lines
from feature_backfill.store.contracts import claim_key
from feature_backfill.store.features import ensure_features_table, write_features

CHUNK_HOURS = 8 * 1024
"""Hours that are computed and stored at a time, to bound memory: 440 values of 8,192 hours take 29 MB."""

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
    upstream_keys = [ohlcv_key(market), *(bars_key(market, timeframe) for timeframe in feature_set.bar_timeframes)]

    @dg.asset(
        key=key,
        deps=upstream_keys,
        description=(
            f"{len(names)} features of each closed hour of {market.name} under the key {feature_set.key}, "
            f"from the last {feature_set.lookback.hours} hours, on {', '.join(feature_set.timeframes)} bars. "
            f"Its checks are on {asset_link(checks_key(key), 'checks')}. An hour that cannot be computed is missing; "
            f"the reason is in the tab Events, under the hour. Numbers of each row: Metadata, Plots."
        ),
        group_name=market.name,
        kinds={"duckdb", "numpy"},
        owners=list(market.owners),
        partitions_def=hourly_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=writer_pool(market),
        required_resource_keys={target_key(market), "progress"},
        output_required=False,
        metadata={
            "checks": dg.MetadataValue.asset(checks_key(key)),
            "dagster/table_name": "features",
            # As the schema of its columns, Dagster would show hundreds of lines above everything else.
            "features": dg.MetadataValue.table_schema(features_schema(feature_set)),
            "database": dg.MetadataValue.path(str(market.target_database)),
            "feature_key": feature_set.key,
            "contract": dg.MetadataValue.json(feature_set.contract(market).summary()),
            **market_metadata(market),
        },
    )
    def features(context: dg.AssetExecutionContext, config: FeaturesConfig) -> Iterator[dg.MaterializeResult[None]]:
        progress: ProgressListener = context.resources.progress
        seconds: dict[str, float] = defaultdict(float)
        hours = hours_of_run(context)
        with user_errors_fail_the_step():
            wait_for_rows(context, market, hours)
            upstream = Upstream(upstream_keys, newest_event(context.instance))
            with _timed(seconds, "plan"):
                plan = plan_of(market, feature_set, hours, config.keep(context.run.tags))
                plan = plan.at_most(config.at_most)
            progress.planned(len(plan.compute))
            preview, missing_values = _compute_and_store(context, market, feature_set, plan, progress, seconds)
        report = RunReport(len(plan.compute), len(plan.kept), len(plan.absent), plan.skipped, dict(seconds))
        standing = _standing(context, market, feature_set)
        summary = run_metadata(report, count_hours(plan, *plan.ends), preview, standing)
        report_run(context, plan, upstream, missing_values, summary)
        left_out = partition_keys(pd.DatetimeIndex(plan.impossible.index))
        forget_failures(context.instance, key, hourly_partitions(market), left_out)
        for line in skip_lines(plan.impossible):
            context.log.info(line)
        context.log.info(
            f"computed {report.computed}, kept {report.kept}, skipped {len(report.skipped)}, absent {report.absent}"
        )
        progress.finished(report)
        yield from ()

    return features


def features_schema(feature_set: FeatureSet) -> dg.TableSchema:
    """The stored features, each with its summary."""
    summaries = feature_summaries(feature_set.timeframes)
    return dg.TableSchema([dg.TableColumn(name, "double", summaries[name]) for name in feature_set.names])


def _standing(context: dg.AssetExecutionContext, market: Market, feature_set: FeatureSet) -> Standing | None:
    """How the feature set stands. What cannot be read now is left out: rows are stored that must be reported."""
    try:
        return standing_of(market, feature_set)
    except (UserError, RunError) as error:
        context.log.warning(f"the summary of this run says nothing of all hours: {error}")
        return None


def _compute_and_store(
    context: dg.AssetExecutionContext,
    market: Market,
    feature_set: FeatureSet,
    plan: Plan,
    progress: ProgressListener,
    seconds: dict[str, float],
) -> tuple[pd.DataFrame, "pd.Series[int]"]:
    """Compute and store the planned hours chunk by chunk.

    Returns a corner of the newest rows, and how many values of each row are missing.
    """
    preview, missing_values = pd.DataFrame(), []
    for start in range(0, len(plan.compute), CHUNK_HOURS):
        hours = plan.compute[start : start + CHUNK_HOURS]
        with _timed(seconds, "compute"):
            frame = _computed(market, feature_set, plan.rows, hours)
        with _timed(seconds, "store"), target_of_run(context, market).get_connection() as connection:
            ensure_features_table(connection)
            contract = claim_key(connection, feature_set.key, feature_set.contract(market))
            inputs = plan.digests[hours].to_numpy()
            write_features(
                connection,
                feature_set.key,
                frame,
                contract.missing or "null",
                inputs,
                feature_set.settings,
                f"run {context.run.run_id}",
            )
        progress.stored(len(hours))
        context.log.info(f"{start + len(hours)} of {len(plan.compute)} hours stored")
        preview = frame.iloc[-PREVIEW_HOURS:, :PREVIEW_FEATURES]
        missing_values.append((~np.isfinite(frame)).sum(axis=1))
    return preview, pd.concat(missing_values) if missing_values else pd.Series(dtype="int64")


def _computed(market: Market, feature_set: FeatureSet, rows: HourlyRows, hours: pd.DatetimeIndex) -> pd.DataFrame:
    """The features of hours, computed from the hourly rows and the stored bars of their lookbacks."""
    rows = rows.between(feature_set.lookback.first_hour(hours[0]), hours[-1])
    bars = checked_bars(market, rows, feature_set.bar_timeframes)
    result = compute_rows(rows, hours, feature_set.lookback, feature_set.timeframes, bars)
    if len(result.skipped):
        raise RuntimeError(f"{len(result.skipped)} planned hours were not computed: {result.skipped.iloc[0]}")
    return result.features[feature_set.names]


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - started
