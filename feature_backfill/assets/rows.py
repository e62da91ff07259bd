"""The rows of a feature set for some hours: planned, computed, stored, and reported to Dagster, from any step.

Both the asset of the feature set and the job that fetches OHLCV come here.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import numpy as np
import pandas as pd

from feature_backfill.assets.bars import checked_bars
from feature_backfill.assets.decisions import standing_of
from feature_backfill.assets.joining import changed_modules
from feature_backfill.assets.names import bars_key, features_key, hourly_partitions, ohlcv_key
from feature_backfill.assets.progress import ProgressListener, RunReport
from feature_backfill.assets.run_events import Upstream, report_run
from feature_backfill.assets.run_summary import PREVIEW_FEATURES, PREVIEW_HOURS, run_metadata
from feature_backfill.assets.target import target_of_run
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.partition_status import forget_failures
from feature_backfill.dagster_internals.reports import StepContext
from feature_backfill.dagster_internals.versions import newest_event
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.compute import compute_rows
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import partition_keys
from feature_backfill.planning.counting import count_hours
from feature_backfill.planning.plan import Plan
from feature_backfill.planning.standing import Standing
from feature_backfill.planning.wording import skip_lines
from feature_backfill.store.contracts import claim_key
from feature_backfill.store.features import ensure_features_table, write_features

CHUNK_HOURS = 8 * 1024
"""Hours that are computed and stored at a time, to bound memory: 440 values of 8,192 hours take 29 MB."""


def upstream_keys(market: Market, feature_set: FeatureSet) -> list[dg.AssetKey]:
    """The assets that the rows of a feature set rest on."""
    return [ohlcv_key(market), *(bars_key(market, timeframe) for timeframe in feature_set.bar_timeframes)]


def upstream_of(instance: dg.DagsterInstance, market: Market, feature_set: FeatureSet) -> Upstream:
    """What the rows of a feature set rest on as it is now. Ask before reading it."""
    return Upstream(upstream_keys(market, feature_set), newest_event(instance))


def make_rows(context: StepContext, market: Market, feature_set: FeatureSet, plan: Plan, upstream: Upstream) -> None:
    """Carry out a plan: compute and store its rows, and report each of its hours.

    The bars of the hours must be stored. context: of a step that requires TARGETS and "progress".

    Raises UserError or RunError; what was stored before stays, and is reported by the next run that meets it.
    """
    key = features_key(market, feature_set)
    for line in changed_modules(market, feature_set):
        context.log.warning(line)
    progress: ProgressListener = context.resources.progress
    seconds: dict[str, float] = defaultdict(float)
    progress.planned(feature_set.key, len(plan.compute))
    preview, missing_values = _compute_and_store(context, market, feature_set, plan, progress, seconds)
    report = RunReport(len(plan.compute), len(plan.kept), len(plan.absent), plan.skipped, dict(seconds))
    standing = _standing(context, market, feature_set)
    summary = run_metadata(report, count_hours(plan, *plan.ends), preview, standing)
    report_run(context, key, plan, upstream, missing_values, summary)
    left_out = partition_keys(pd.DatetimeIndex(plan.impossible.index))
    forget_failures(context.instance, key, hourly_partitions(market), left_out)
    for line in skip_lines(plan.impossible):
        context.log.info(line)
    context.log.info(
        f"{feature_set.key}: computed {report.computed}, kept {report.kept}, skipped {len(report.skipped)}, "
        f"absent {report.absent}"
    )
    progress.finished(report)


def _standing(context: StepContext, market: Market, feature_set: FeatureSet) -> Standing | None:
    """How the feature set stands. What cannot be read now is left out: rows are stored that must be reported."""
    try:
        return standing_of(market, feature_set)
    except (UserError, RunError) as error:
        context.log.warning(f"the summary of this run says nothing of all hours: {error}")
        return None


def _compute_and_store(
    context: StepContext,
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
        if len(hours) < len(plan.compute):
            context.log.info(f"{start + len(hours)} of {len(plan.compute)} hours stored")
        preview = frame.iloc[-PREVIEW_HOURS:, :PREVIEW_FEATURES]
        missing_values.append((~np.isfinite(frame)).sum(axis=1))
    return preview, pd.concat(missing_values) if missing_values else pd.Series(dtype="int64")


def _computed(market: Market, feature_set: FeatureSet, rows: HourlyRows, hours: pd.DatetimeIndex) -> pd.DataFrame:
    """The features of hours, computed from the hourly rows and the stored bars of their lookbacks."""
    rows = rows.between(feature_set.lookback.first_hour(hours[0]), hours[-1])
    bars = checked_bars(market, rows, feature_set.bar_timeframes)
    result = compute_rows(rows, hours, feature_set.lookback, feature_set.timeframes, bars, feature_set.catalog)
    if len(result.skipped):
        raise RuntimeError(f"{len(result.skipped)} planned hours were not computed: {result.skipped.iloc[0]}")
    return result.features[feature_set.names]


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - started
