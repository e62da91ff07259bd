"""What a Dagster project of one's own builds on: the keys, partitions and definitions of the markets.

`docs/extending.md` shows how; `examples/my_desk` does it.
"""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from feature_backfill.assets.names import bars_key, checks_key, features_key, hourly_partitions, ohlcv_key
from feature_backfill.assets.ranges import hours_of_run
from feature_backfill.checks.market import features_checks
from feature_backfill.checks.parity import parity
from feature_backfill.config import FeatureSet, Market, read_markets
from feature_backfill.dagster_internals.check_results import failed_checks
from feature_backfill.definitions import build_definitions
from feature_backfill.errors import UserError
from feature_backfill.hours import partition_key

__all__ = [
    "EVERY_NEW_HOUR",
    "FeatureSet",
    "Market",
    "bars_key",
    "build_definitions",
    "checks_key",
    "features_key",
    "hourly_partitions",
    "hours_of_run",
    "load_markets",
    "ohlcv_key",
    "partition_key",
    "problems_of",
]

EVERY_NEW_HOUR = dg.AutomationCondition.eager().without(dg.AutomationCondition.in_latest_time_window())
"""For an hourly asset that rests on features: asks for each hour whose row is new or was computed anew.

Dagster's own eager() asks for the newest hour only.
"""


def load_markets(folder: Path | None = None) -> Sequence[Market]:
    """The markets of a folder's YAML files, sorted by name; of $FEATURE_BACKFILL_CONFIGS or configs/ unless given.

    Raises UserError if a file is broken. Other markets would still run, but what is built on them could not.
    """
    markets = read_markets(folder)
    if markets.broken:
        raise UserError("; ".join(markets.errors))
    return markets.valid


def problems_of(instance: dg.DagsterInstance, market: Market, feature_set: FeatureSet) -> list[str]:
    """The checks of a feature set that did not pass when they were last made, and are errors: one line each.

    Gate on it what must not rest on wrong rows. No result is no problem: make the checks before, or on their schedule.
    """
    names = [check.__name__ for check in (*features_checks(market), parity)]
    return failed_checks(instance, checks_key(features_key(market, feature_set)), names)
