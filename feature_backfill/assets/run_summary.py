"""What a run of features did and how the feature set stands after it, as metadata of the newest hour."""

import dagster as dg
import pandas as pd

from feature_backfill.assets.progress import RunReport
from feature_backfill.planning.counting import HourCounts
from feature_backfill.planning.standing import Standing

PREVIEW_HOURS, PREVIEW_FEATURES = 3, 5
"""Size of the corner of the newest rows that a summary shows."""


def run_metadata(
    report: RunReport, asked: HourCounts, preview: pd.DataFrame, now: Standing | None
) -> dict[str, dg.MetadataValue]:
    """What a run did with the hours asked for and how the feature set stands after it, as metadata."""
    metadata: dict[str, dg.MetadataValue] = {
        "rows_written": dg.MetadataValue.int(report.computed),
        "rows_kept": dg.MetadataValue.int(report.kept),
        "hours_skipped": dg.MetadataValue.json(asked.skipped.states),
        "hours_per_second": dg.MetadataValue.float(round(report.hours_per_second, 1)),
    }
    if now is not None:
        metadata["newest_stored_hour"] = dg.MetadataValue.timestamp(now.newest.tz_localize("UTC").timestamp())
        metadata["hours_behind"] = dg.MetadataValue.int(now.hours_behind)
        metadata["ohlcv_hours_behind"] = dg.MetadataValue.int(now.ohlcv_hours_behind)
        metadata["all_hours"] = dg.MetadataValue.json(now.counts.as_dict())
        if now.skipped:
            metadata["why_missing"] = dg.MetadataValue.md("\n".join(f"* {line}" for line in now.skipped))
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
