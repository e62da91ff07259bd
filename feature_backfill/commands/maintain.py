"""`feature-backfill maintain`: what the job of this purpose does once a day, for a market whose target is a lake."""

import argparse

from feature_backfill.automation.maintenance import KEEP_DAYS, maintain
from feature_backfill.commands.shared.market import market_named
from feature_backfill.config import Lake, read_markets
from feature_backfill.errors import UserError


def execute(options: argparse.Namespace) -> int:
    """Maintain the lake and say what was done. Raises UserError if the market has no lake."""
    market = market_named(read_markets(), options.market)
    if not isinstance(market.target, Lake):
        raise UserError(f"market {market.name} has the DuckDB file {market.target}, which needs no maintenance")
    keep_days = KEEP_DAYS if options.keep_days is None else options.keep_days
    if keep_days < 0:
        raise UserError(f"--keep-days {keep_days}: give a number of days, such as {KEEP_DAYS}")
    print(f"{market.target}: {maintain(market.target, keep_days) or 'nothing is stored there yet'}")
    return 0
