"""Checks of the hourly OHLCV rows: is any hour missing, is any row bad?"""

import dagster as dg
import pandas as pd

from feature_backfill.checks.findings import listed, newest_range, ranges
from feature_backfill.config import KnownGap, Market
from feature_backfill.engine.bars import COLUMNS, names_of, normalized_ohlcv, row_faults
from feature_backfill.engine.soundness import SkipKind
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, contiguous_runs, hour_range, last_closed_hour, stretch
from feature_backfill.store.database import connect
from feature_backfill.store.fetched import absent_hours
from feature_backfill.store.ohlcv import ohlcv_hours, read_ohlcv

FUTURE = "in the future"


def continuity(market: Market) -> dg.AssetCheckResult:
    """Every hour between the first row and the newest row of a closed hour has a row, or is known to have none.

    A warning, because an exchange that was down leaves a permanent gap, and no feature is computed across it. Such a
    gap belongs into the known_gaps of the market's YAML, unless a fetch has found that the exchange lacks it. Rows that
    are late at the end of the table are left to the freshness check of the features.
    """
    with connect(market.source.database, read_only=True) as connection:
        present = ohlcv_hours(connection, market.source.table, end=last_closed_hour())
        asked = absent_hours(connection, market.source.table)
    if present.empty:
        raise UserError(
            f"table {market.source.table} of {market.source.database} has no row of a closed hour; check what fills it"
        )
    absent = hour_range(present[0], present[-1]).difference(present)
    not_served = absent.intersection(pd.DatetimeIndex(asked["timestamp"]))
    new = absent.difference(not_served)
    for gap in market.known_gaps:
        new = new.difference(gap.hours)
    return dg.AssetCheckResult(
        passed=new.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=_continuity_text(market.known_gaps, present, absent, not_served, new),
        metadata={
            "hours": len(present) + len(absent),
            "hours_without_row": len(absent),
            "hours_in_known_gaps": len(absent.difference(not_served)) - len(new),
            "hours_not_on_the_exchange": len(not_served),
            **listed("gaps", ranges(new)),
            **listed("not_on_the_exchange", ranges(not_served)),
            **listed("known_gaps", [_known_line(gap, present) for gap in market.known_gaps]),
        },
    )


def _continuity_text(
    known: tuple[KnownGap, ...],
    present: pd.DatetimeIndex,
    absent: pd.DatetimeIndex,
    not_served: pd.DatetimeIndex,
    new: pd.DatetimeIndex,
) -> str:
    text = f"{stretch(present[0], present[-1])}: "
    text += f"{len(absent)} have {SkipKind.ABSENT}" if len(absent) else "every hour has its row"
    if len(not_served):
        text += f", {len(not_served)} of them not on the exchange"
    if len(new):
        some = f"{len(new)} of them " if len(new) < len(absent) else ""
        text += f", {some}in {_unknown(len(contiguous_runs(new)))}"
        text += f"{newest_range(new)}: import their rows, or add them to known_gaps"
    elif len(absent) > len(not_served):
        text += ", all the others in known gaps" if len(not_served) else ", all of them in known gaps"
    filled = [gap for gap in known if gap.hours.isin(present).all()]
    for gap in filled:
        text += f"; the known gap {stretch(gap.first, gap.last)}, {gap.note}, has been filled: take it off known_gaps"
    return text


def _unknown(gaps: int) -> str:
    return "1 gap that is not known, " if gaps == 1 else f"{gaps} gaps that are not known, the newest "


def _known_line(gap: KnownGap, present: pd.DatetimeIndex) -> dict[str, str | int]:
    """A known gap as a line of a table."""
    rows = int(gap.hours.isin(present).sum())
    return {"first": str(gap.first), "last": str(gap.last), "hours_with_row": rows, "note": gap.note}


def sanity(market: Market) -> dg.AssetCheckResult:
    """Every row of a closed hour is sound, and no row lies in the future.

    An error, because every hour whose lookback contains a bad row is skipped, and the row can be corrected at its
    source.
    """
    with connect(market.source.database, read_only=True) as connection:
        columns = market.source.further_columns
        rows = normalized_ohlcv(read_ohlcv(connection, market.source.table, columns=columns), columns)
    current_hour = last_closed_hour() + HOUR
    faults = row_faults(rows, columns)
    faults[rows["timestamp"] >= current_hour] = None
    faults[rows["timestamp"] >= current_hour + HOUR] = FUTURE
    bad = rows.assign(fault=faults)[faults.notna()]
    by_fault = {str(fault): int(count) for fault, count in bad["fault"].value_counts().items()}
    names = [*COLUMNS, *names_of(columns)]
    examples = [
        {"timestamp": str(row["timestamp"]), "fault": row["fault"], **{name: f"{row[name]:g}" for name in names}}
        for row in bad.iloc[::-1].to_dict("records")
    ]
    counts = ", ".join(f"{count} {fault}" for fault, count in by_fault.items())
    return dg.AssetCheckResult(
        passed=bad.empty,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(rows)} rows, " + ("none bad" if bad.empty else f"{len(bad)} bad: {counts}"),
        metadata={"rows": len(rows), "bad_rows": len(bad), "by_fault": by_fault, **listed("examples", examples)},
    )
