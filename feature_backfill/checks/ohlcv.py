"""Checks of the hourly rows: is any hour missing, is any row bad?"""

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
    """Every hour from the first row to the last one of a closed hour has a row.

    A warning: an exchange that was down leaves a gap for ever, and nothing is computed from it. Rows that are late at
    the end are the business of the features' freshness.
    """
    with connect(market.source.database, read_only=True) as connection:
        present = ohlcv_hours(connection, market.source.table, end=last_closed_hour())
    if present.empty:
        raise UserError(
            f"table {market.source.table} of {market.source.database} has no row of a closed hour: see to what fills it"
        )
    absent = hour_range(present[0], present[-1]).difference(present)
    told = f"{len(present)} hours from {present[0]} to {present[-1]}, "
    if absent.empty:
        told += "none missing"
    else:
        told += f"{len(absent)} missing in {len(contiguous_runs(absent))} gaps, the newest {newest_range(absent)}"
    return dg.AssetCheckResult(
        passed=absent.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={"hours": len(present), "hours_missing": len(absent), **listed("gaps", ranges(absent))},
    )


def sanity(market: Market) -> dg.AssetCheckResult:
    """Every row of a closed hour is one that features may be computed from, and none is of an hour still to come.

    An error: one bad row costs every hour that looks back on it, and can be corrected where it comes from.
    """
    with connect(market.source.database, read_only=True) as connection:
        rows = normalized_ohlcv(read_ohlcv(connection, market.source.table))
    going = last_closed_hour() + HOUR
    faults = row_faults(rows)
    faults[rows["timestamp"] >= going] = None
    faults[rows["timestamp"] >= going + HOUR] = FUTURE
    bad = rows.assign(fault=faults)[faults.notna()]
    by_fault = {str(fault): int(count) for fault, count in bad["fault"].value_counts().items()}
    examples = [
        {"timestamp": str(row["timestamp"]), "fault": row["fault"], **{name: f"{row[name]:g}" for name in COLUMNS}}
        for row in bad.iloc[::-1].to_dict("records")
    ]
    told = f", {len(bad)} bad: {', '.join(f'{count} {fault}' for fault, count in by_fault.items())}"
    return dg.AssetCheckResult(
        passed=bad.empty,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(rows)} rows" + (", none bad" if bad.empty else told),
        metadata={"rows": len(rows), "bad_rows": len(bad), "by_fault": by_fault, **listed("examples", examples)},
    )
