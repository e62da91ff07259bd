"""`feature-backfill selftest`: the whole way on the user's own OHLCV, checked against the rows that are stored.

Hours are computed through the project's assets into a database of their own, which is then deleted, and compared with
the rows of a key. Dagster's records of the test are kept in memory only. Nothing of the user's is written.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import numpy as np
import pandas as pd

from feature_backfill.assets.decisions import plan_of
from feature_backfill.commands.shared.backfill import backfill
from feature_backfill.commands.shared.hours import parsed_hour, require_since_first_hour
from feature_backfill.commands.shared.market import market_and_feature_set, market_with_key
from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import RunError, UserError
from feature_backfill.hours import HOUR
from feature_backfill.planning.ranges import ranges_of_command
from feature_backfill.planning.reach import resolved_range
from feature_backfill.planning.wording import skip_lines
from feature_backfill.store.database import connect
from feature_backfill.store.features import last_stored_hour, stored_hours
from feature_backfill.store.reading import read_features
from feature_backfill.store.row_contents import agreement

REACH = 24 * HOUR
RELATIVE, ABSOLUTE = 1e-9, 1e-9
"""Values agree if they differ by no more than RELATIVE of the stored one plus ABSOLUTE."""

SHOWN = 10


def execute(options: argparse.Namespace) -> int:
    """Compute apart and compare. Raises RunError if a value differs, UserError if there is nothing to compare with."""
    if options.duckdb is None:
        options.market = market_with_key(options.market, options.compare_key).name
    market, feature_set = market_and_feature_set(options, options.feature_key)
    hours = _hours_to_compare(options, market)
    with TemporaryDirectory(prefix="feature_backfill_selftest.") as folder:
        apart = market.model_copy(update={"target": Path(folder, "features.duckdb")})
        return _compare(market, apart, feature_set, options.compare_key, hours)


def _compare(market: Market, apart: Market, feature_set: FeatureSet, compare_key: str, hours: pd.DatetimeIndex) -> int:
    """Compute the hours apart from the market's target database, and compare them with its rows."""
    plan = plan_of(apart, feature_set, hours)
    print(f"OHLCV: table {market.source.table} of {market.source.database}")
    print(f"rows under {compare_key}: {len(hours)} hours, {hours[0]} .. {hours[-1]}")
    print("\n".join(skip_lines(plan.skipped)), end="\n" if len(plan.skipped) else "")
    if plan.compute.empty:
        raise UserError("none of these hours can be computed; choose others with --start and --end")
    with dg.DagsterInstance.ephemeral() as instance:
        backfill(instance, apart, feature_set, ranges_of_command(plan, listed=True))
    differing = _differences(market, apart, feature_set.key, compare_key, plan.compute)
    if differing:
        raise RunError(f"{len(differing)} values differ: " + "; ".join(differing[:SHOWN]))
    print(f"passed: {len(plan.compute)} hours agree with {compare_key}; nothing was stored")
    return 0


def _hours_to_compare(options: argparse.Namespace, market: Market) -> pd.DatetimeIndex:
    """The stored hours of the key to compare with: the last day's, or those from --start to --end."""
    start, end = parsed_hour("--start", options.start), parsed_hour("--end", options.end)
    with connect(market.target, read_only=True) as connection:
        newest = last_stored_hour(connection, options.compare_key)
        hours = pd.DatetimeIndex([])
        if newest is not None:
            hours = stored_hours(connection, options.compare_key, *resolved_range(start, end, newest, REACH))
    if start is None:
        hours = hours[hours >= market.first_hour]
    require_since_first_hour(market, hours)
    if hours.empty:
        raise UserError(f"no rows of {options.compare_key!r} in {market.target} to compare with")
    return hours


def _differences(market: Market, apart: Market, key: str, other_key: str, hours: pd.DatetimeIndex) -> list[str]:
    """The values of one key that disagree with the other's, in words, for the names that both have."""
    ours = read_features(apart.target, key, hours[0], hours[-1])
    theirs = read_features(market.target, other_key, hours[0], hours[-1])
    names = [name for name in theirs.columns if name in ours.columns]
    if not names:
        raise UserError(f"{key} and {other_key} have no feature in common")
    computed, expected = ours.loc[hours, names].to_numpy(), theirs.loc[hours, names].to_numpy()
    return [
        f"{names[column]} at {hours[row]}: {computed[row, column]} is not {expected[row, column]}"
        for row, column in np.argwhere(~agreement(computed, expected, RELATIVE, ABSOLUTE))
    ]
