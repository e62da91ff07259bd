"""Checks of the hourly OHLCV rows: is any hour missing, is any row bad?"""

import dagster as dg

from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.config import Market
from feature_backfill.engine.bars import COLUMNS, normalized_ohlcv, row_faults
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, contiguous_runs, hour_range, last_closed_hour
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import ohlcv_hours, read_ohlcv

FUTURE = "in the future"


def continuity(market: Market) -> dg.AssetCheckResult:
    """Every hour between the first row and the newest row of a closed hour has a row.

    A warning, because an exchange that was down leaves a permanent gap, and no feature is computed across it. Rows that
    are late at the end of the table are left to the freshness check of the features.
    """
    with connect(market.source.database, read_only=True) as connection:
        present = ohlcv_hours(connection, market.source.table, end=last_closed_hour())
    if present.empty:
        raise UserError(
            f"table {market.source.table} of {market.source.database} has no row of a closed hour; check what fills it"
        )
    absent = hour_range(present[0], present[-1]).difference(present)
    description = f"{len(present)} hours from {present[0]} to {present[-1]}, "
    if absent.empty:
        description += "none missing"
    else:
        gaps = len(contiguous_runs(absent))
        description += f"{len(absent)} missing in {gaps} gaps, the newest {newest_range(absent)}"
    return dg.AssetCheckResult(
        passed=absent.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={"hours": len(present), "hours_missing": len(absent), **listed("gaps", ranges(absent))},
    )


def sanity(market: Market) -> dg.AssetCheckResult:
    """Every row of a closed hour is sound, and no row lies in the future.

    An error, because every hour whose lookback contains a bad row is skipped, and the row can be corrected at its
    source.
    """
    with connect(market.source.database, read_only=True) as connection:
        rows = normalized_ohlcv(read_ohlcv(connection, market.source.table))
    current_hour = last_closed_hour() + HOUR
    faults = row_faults(rows)
    faults[rows["timestamp"] >= current_hour] = None
    faults[rows["timestamp"] >= current_hour + HOUR] = FUTURE
    bad = rows.assign(fault=faults)[faults.notna()]
    by_fault = {str(fault): int(count) for fault, count in bad["fault"].value_counts().items()}
    examples = [
        {"timestamp": str(row["timestamp"]), "fault": row["fault"], **{name: f"{row[name]:g}" for name in COLUMNS}}
        for row in bad.iloc[::-1].to_dict("records")
    ]
    counts = ", ".join(f"{count} {fault}" for fault, count in by_fault.items())
    return dg.AssetCheckResult(
        passed=bad.empty,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(rows)} rows, " + ("none bad" if bad.empty else f"{len(bad)} bad: {counts}"),
        metadata={"rows": len(rows), "bad_rows": len(bad), "by_fault": by_fault, **listed("examples", examples)},
    )
