"""What a source brought, in words."""

import pandas as pd

from feature_backfill.config import Market
from feature_backfill.errors import shortened
from feature_backfill.hours import contiguous_runs
from feature_backfill.sources.source import Brought

LISTED_RANGES = 3


def brought_lines(market: Market, brought: Brought) -> list[str]:
    """What was brought from where, what was restated, what is absent, and each warning: a line each."""
    origins = ", ".join(f"{origin} {count}" for origin, count in brought.new.items() if count)
    new = sum(brought.new.values())
    lines = [
        f"{market.source.table} of {market.source.database}, {market.source.origin}: {new} rows new"
        f"{f' ({origins})' if origins else ''}, {brought.changed} changed, {brought.same} the same"
    ]
    if len(brought.restated):
        lines.append(
            f"restated {_hours(brought.restated)}; the old values are in ohlcv_restated, and recompute-stale computes "
            "the rows that rest on them"
        )
    if len(brought.absent):
        lines.append(f"not on the exchange: {_hours(brought.absent)}")
    given_up = brought.absent.intersection(brought.for_good)
    if len(given_up):
        lines.append(f"asked for in vain for a day, and not asked for again without --since: {_hours(given_up)}")
    return lines + [f"warning: {warning}" for warning in brought.warnings]


def _hours(hours: pd.DatetimeIndex) -> str:
    runs = [f"{first:%Y-%m-%d %H:%M} .. {last:%Y-%m-%d %H:%M}" for first, last in contiguous_runs(hours)]
    return f"{len(hours)} hours, {shortened(runs, LISTED_RANGES)}"
