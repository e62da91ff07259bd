"""The features of a feature set: one row an hour, computed in bulk, skipped with a reason, never twice."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg
import pandas as pd
from pydantic import Field

from feature_backfill.assets.bars import checked_bars
from feature_backfill.assets.failures import told_to_the_operator
from feature_backfill.assets.late_rows import wait_for_rows
from feature_backfill.assets.names import (
    bars_key,
    features_key,
    hourly_partitions,
    market_metadata,
    ohlcv_key,
    writer_pool,
)
from feature_backfill.assets.plan import ABSENT, Plan, make_plan
from feature_backfill.assets.progress import ProgressListener, RunReport
from feature_backfill.assets.ranges import hours_of_run
from feature_backfill.assets.standing import Standing, standing
from feature_backfill.assets.target import target_key, target_of_run
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.reports import EventOfHours, report_hours
from feature_backfill.engine.catalog import feature_summaries
from feature_backfill.engine.compute import compute_features
from feature_backfill.engine.soundness import kind_of
from feature_backfill.hours import HOUR, partition_keys
from feature_backfill.store.features import ensure_features_table, write_features

CHUNK_HOURS = 8 * 1024
"""Hours computed and stored at a time, which bounds memory: 440 values of so many hours are 29 MB."""

PREVIEW_HOURS, PREVIEW_FEATURES = 3, 5


OVERWRITE_TAG = "feature_backfill/overwrite"
STALE_TAG = "feature_backfill/stale"
"""Run tags. "true" does what the option of this name does, for launchers that take tags and no run config."""


class FeaturesConfig(dg.Config):
    """Options of a run."""

    overwrite: bool = Field(default=False, description="Compute hours anew that are stored already, and replace them.")
    stale: bool = Field(
        default=False, description="Compute hours anew that are stored already and whose OHLCV was corrected since."
    )
    at_most: int = Field(default=0, ge=0, description="Compute no more than so many hours, the oldest. 0: all.")


def features_asset(market: Market, feature_set: FeatureSet) -> dg.AssetsDefinition:
    """The rows of one feature set.

    A skipped hour stays missing and gets an observation with its reason; a stored one is reported as materialized,
    kept. The asset therefore reports hour by hour and yields no output for the range.
    """
    names = feature_set.names

    @dg.asset(
        key=features_key(market, feature_set),
        deps=[ohlcv_key(market), *(bars_key(market, timeframe) for timeframe in feature_set.bar_timeframes)],
        description=(
            f"{len(names)} features of each closed hour of {market.name} under the key {feature_set.key}, "
            f"from the last {feature_set.lookback_hours} hours, on {', '.join(feature_set.timeframes)} bars."
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
            "dagster/table_name": "features",
            "dagster/column_schema": column_schema(feature_set),
            "database": dg.MetadataValue.path(str(market.target_database)),
            "feature_key": feature_set.key,
            **market_metadata(market),
        },
    )
    def features(context: dg.AssetExecutionContext, config: FeaturesConfig) -> Iterator[dg.MaterializeResult[None]]:
        progress: ProgressListener = context.resources.progress
        seconds: dict[str, float] = defaultdict(float)
        hours = hours_of_run(context)
        overwrite = config.overwrite or context.run.tags.get(OVERWRITE_TAG) == "true"
        stale = config.stale or context.run.tags.get(STALE_TAG) == "true"
        with told_to_the_operator():
            wait_for_rows(context, market, hours)
            with _timed(seconds, "plan"):
                plan = make_plan(market, feature_set, hours, overwrite, stale)
                plan = replace(plan, compute=plan.compute[: config.at_most or None])
            progress.planned(len(plan.compute))
            preview = _compute_and_store(context, market, feature_set, plan, progress, seconds)
        report = RunReport(len(plan.compute), len(plan.kept), len(plan.absent), plan.skipped, dict(seconds))
        summary = run_metadata(report, preview, standing(market, feature_set))
        _report(context, features_key(market, feature_set), plan, report, summary)
        progress.finished(report)
        yield from ()

    return features


def column_schema(feature_set: FeatureSet) -> dg.TableSchema:
    """The stored names with what each of them is."""
    summaries = feature_summaries(feature_set.timeframes)
    return dg.TableSchema([dg.TableColumn(name, "double", summaries[name]) for name in feature_set.names])


def _compute_and_store(
    context: dg.AssetExecutionContext,
    market: Market,
    feature_set: FeatureSet,
    plan: Plan,
    progress: ProgressListener,
    seconds: dict[str, float],
) -> pd.DataFrame:
    """Compute and store the planned hours chunk by chunk; returns a corner of the newest rows."""
    preview = pd.DataFrame()
    for start in range(0, len(plan.compute), CHUNK_HOURS):
        hours = plan.compute[start : start + CHUNK_HOURS]
        with _timed(seconds, "compute"):
            frame = _computed(market, feature_set, plan.ohlcv, hours)
        with _timed(seconds, "store"), target_of_run(context, market).get_connection() as connection:
            ensure_features_table(connection)
            inputs = plan.inputs[hours].to_numpy()
            write_features(connection, feature_set.key, frame, feature_set.missing, inputs, feature_set.settings)
        progress.stored(len(hours))
        context.log.info(f"{start + len(hours)} of {len(plan.compute)} hours stored")
        preview = frame.iloc[-PREVIEW_HOURS:, :PREVIEW_FEATURES]
    return preview


def _computed(market: Market, feature_set: FeatureSet, ohlcv: pd.DataFrame, hours: pd.DatetimeIndex) -> pd.DataFrame:
    """The stored names of hours that can be computed, from the rows and the stored bars of their lookback."""
    first = hours[0] - (feature_set.lookback_hours - 1) * HOUR
    rows = ohlcv[ohlcv["timestamp"].between(first, hours[-1])]
    bars = checked_bars(market, rows, feature_set.bar_timeframes)
    result = compute_features(
        rows, hours, feature_set.base_hours, feature_set.buffer_hours, feature_set.timeframes, bars
    )
    if len(result.skipped):
        raise RuntimeError(f"{len(result.skipped)} planned hours were not computed: {result.skipped.iloc[0]}")
    return result.features[feature_set.names]


def _report(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    plan: Plan,
    report: RunReport,
    summary: dict[str, dg.MetadataValue],
) -> None:
    """Tell Dagster of every hour, and of the whole with the newest of them."""
    rows = pd.concat([pd.Series("kept", plan.kept), pd.Series("computed", plan.compute)])
    reasons = pd.concat([plan.skipped, pd.Series(ABSENT, plan.absent)])
    done: list[EventOfHours] = [
        (dg.AssetMaterialization(key, metadata={"row": row}), hours) for row, hours in _runs(rows)
    ]
    left: list[EventOfHours] = [
        (dg.AssetObservation(key, metadata={"skipped": why}), hours) for why, hours in _runs(reasons)
    ]
    if with_summary := done or left:
        event, hours = with_summary.pop()
        newest = type(event)(key, metadata={**event.metadata, **summary})
        with_summary += [(event, hours[:-1]), (newest, hours[-1:])]
    report_hours(context, [*done, *left])
    context.log.info(
        f"computed {report.computed}, kept {report.kept}, skipped {len(report.skipped)}, absent {report.absent}"
    )


def _runs(values: "pd.Series[str]") -> Iterator[tuple[str, list[str]]]:
    """The runs of hours in a row that have one value: the value, and the hours' partition keys."""
    values = values.sort_index()
    for _, alike in values.groupby((values != values.shift()).cumsum()):
        yield alike.iloc[0], partition_keys(pd.DatetimeIndex(alike.index))


def run_metadata(report: RunReport, preview: pd.DataFrame, now: Standing | None) -> dict[str, dg.MetadataValue]:
    """What a run did and how the feature set stands after it, as metadata."""
    by_kind = Counter(kind_of(reason) for reason in report.skipped)
    metadata: dict[str, dg.MetadataValue] = {
        "rows_written": dg.MetadataValue.int(report.computed),
        "rows_kept": dg.MetadataValue.int(report.kept),
        "hours_skipped": dg.MetadataValue.json(dict(by_kind)),
        "hours_absent": dg.MetadataValue.int(report.absent),
        "hours_per_second": dg.MetadataValue.float(round(report.hours_per_second, 1)),
    }
    if now is not None:
        metadata["newest_stored_hour"] = dg.MetadataValue.timestamp(now.newest.tz_localize("UTC").timestamp())
        metadata["hours_behind_ohlcv"] = dg.MetadataValue.int(now.hours_behind)
        metadata["hours_missing"] = dg.MetadataValue.int(sum(now.missing.values()))
        metadata["hours_missing_why"] = dg.MetadataValue.json(now.missing)
    if not preview.empty:
        metadata["preview"] = dg.MetadataValue.md(_markdown_table(preview))
    return metadata


def _markdown_table(frame: pd.DataFrame) -> str:
    lines = [["ts", *frame.columns], ["---"] * (len(frame.columns) + 1)]
    lines += [
        [f"{ts:%Y-%m-%d %H:%M}", *(f"{value:.6g}" for value in row)]
        for ts, row in zip(frame.index, frame.to_numpy(), strict=True)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - started
