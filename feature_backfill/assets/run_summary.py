"""What a run of features did and how the feature set stands after it, as metadata of the newest hour."""

from collections import Counter

import dagster as dg
import pandas as pd

from feature_backfill.assets.progress import RunReport
from feature_backfill.planning.standing import Standing

PREVIEW_HOURS, PREVIEW_FEATURES = 3, 5
"""Size of the corner of the newest rows that a summary shows."""


def run_metadata(report: RunReport, preview: pd.DataFrame, now: Standing | None) -> dict[str, dg.MetadataValue]:
    """What a run did and how the feature set stands after it, as metadata."""
    by_kind = Counter(str(reason.kind) for reason in report.skipped)
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
