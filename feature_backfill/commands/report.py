"""`feature-backfill report`: a feature set as one HTML file, to be opened in a browser."""

import argparse

from feature_backfill.checks.market import look_at
from feature_backfill.commands.shared.market import market_named
from feature_backfill.config import FeatureSet, Market, read_markets
from feature_backfill.errors import DONE, UserError
from feature_backfill.paths import absolute
from feature_backfill.reports.contents import Choice, contents_of
from feature_backfill.reports.page import page_of, write_page


def execute(options: argparse.Namespace) -> int:
    """Make the report, write it, and say where it is."""
    market = market_named(read_markets(), options.market)
    feature_set = _feature_set(market, options.feature_key)
    if options.days < 1:
        raise UserError(f"--days {options.days}: give at least 1")
    file = absolute(options.out)
    if not file.parent.is_dir():
        raise UserError(f"no folder {file.parent} for the report; create it or correct --out")
    contents = contents_of(market, feature_set, Choice(options.days, options.features), look_at(market, feature_set))
    write_page(page_of(contents), file)
    print(f"{file}: {contents.title}, {contents.standing.counts}; {file.stat().st_size / 1e6:.1f} MB")
    return DONE


def _feature_set(market: Market, key: str | None) -> FeatureSet:
    """The one with a key or, without a key, the only one of the market."""
    if key is not None:
        return market.feature_set(key)
    if len(market.feature_sets) != 1:
        keys = ", ".join(feature_set.key for feature_set in market.feature_sets) or "none"
        raise UserError(f"market {market.name} has the feature keys {keys}; name one with --feature-key")
    return market.feature_sets[0]
