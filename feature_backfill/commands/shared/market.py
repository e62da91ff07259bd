"""The market and feature set that a command's flags mean.

A broken YAML is in nobody's way, unless it may describe what is meant.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feature_backfill.commands.shared.defaults import DEFAULT_TABLE
from feature_backfill.config import FeatureSet, Market, Markets, asset_slug, configs_folder, market_from, read_markets
from feature_backfill.errors import UserError
from feature_backfill.paths import absolute
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import ohlcv_extent
from feature_backfill.store.targets import require_place

FEATURE_SET_FLAGS = ("base_hours", "buffer_hours", "timeframes", "feature_list", "feature_modules", "missing")


def market_and_feature_set(options: argparse.Namespace, feature_key: str) -> tuple[Market, FeatureSet]:
    """From configs/, or from the flags where --duckdb is given.

    With a --feat-duckdb that is not the configured target database, the market is a separate one, whose assets in
    Dagster are its own. It has the one feature set, as configured except for what the flags say.

    Raises UserError if there is no such market or feature set, or where flags contradict the configuration of a feature
    key in the configured target database.
    """
    table = options.table or DEFAULT_TABLE
    markets = read_markets()
    configured = (
        _market_with_key(markets, options.market, feature_key)
        if options.duckdb is None
        else _market_reading(markets, options.duckdb, table)
    )
    if configured is None:
        fields = _fields_from_table(markets, options.duckdb, table)
        fields["source"]["columns"] = {name: {"bar": bar, "if_bad": if_bad} for name, bar, if_bad in options.column}
    elif options.column:
        raise UserError(f"--column: configs/ describes the source of market {configured.name}; edit the YAML")
    else:
        fields = configured.model_dump()
    separate = configured is not None and _has_another_target(markets, options, configured)
    if options.feat_duckdb is not None:
        fields["target"] = options.feat_duckdb
    given = {flag: getattr(options, flag) for flag in FEATURE_SET_FLAGS if getattr(options, flag) is not None}
    feature_sets = {feature_set["key"]: feature_set for feature_set in fields["feature_sets"]}
    feature_sets[feature_key] = {"key": feature_key, **feature_sets.get(feature_key, {}), **given}
    if separate:
        fields["name"] = _separate_name(markets, fields["name"], options.feat_duckdb)
        feature_sets = {feature_key: feature_sets[feature_key]}
    market = market_from({**fields, "feature_sets": list(feature_sets.values())}, Path(), "arguments")
    if configured is not None and not separate:
        _refuse_contradictions(configured, market)
    require_place(market.target)
    return market, market.feature_set(feature_key)


def market_of_table(database: Path, table: str) -> Market:
    """The market of configs/ that reads a table, else one named after it, without feature sets.

    Raises UserError if the table cannot be read or holds no row.
    """
    markets = read_markets()
    configured = _market_reading(markets, database, table)
    if configured is not None:
        return configured
    return market_from(_fields_from_table(markets, database, table), Path(), "arguments")


def market_with_key(name: str | None, feature_key: str) -> Market:
    """The market of configs/ that --market names, else the one that has the feature key."""
    return _market_with_key(read_markets(), name, feature_key)


def market_named(markets: Markets, name: str) -> Market:
    """The market of a name. Raises UserError that lists the names, and the broken files that may describe it."""
    for market in markets.valid:
        if market.name == name:
            return market
    names = ", ".join(market.name for market in markets.valid)
    remedy = "name one of them or describe it there" if names else "describe it there"
    problem = f"no market {name} in configs/, which has {names or 'none'}; {remedy}"
    raise UserError(problem + _broken(markets.errors))


def _market_with_key(markets: Markets, name: str | None, feature_key: str) -> Market:
    if name is not None:
        return market_named(markets, name)
    found = [market for market in markets.valid if feature_key in {each.key for each in market.feature_sets}]
    if len(found) != 1:
        problem = f"{len(found)} markets of configs/ have the feature key {feature_key!r}"
        raise _one_needed(markets.valid, problem, [] if found else markets.errors)
    mentioned = [broken.error for broken in markets.broken if broken.text and broken.may_mean(feature_key)]
    if mentioned:
        raise _one_needed(found, f"{found[0].name} has the feature key {feature_key!r}", mentioned)
    return found[0]


def _one_needed(markets: Sequence[Market], problem: str, errors: Sequence[str]) -> UserError:
    """The error that asks for one of the markets. errors: of broken files that may describe what is meant."""
    if not markets:
        remedy = f"{configs_folder()} describes no market: go to the folder that holds configs/, or give --duckdb"
    else:
        remedy = f"name one of {', '.join(market.name for market in markets)} with --market, or give --duckdb"
    return UserError(f"{problem}; {remedy}{_broken(errors)}")


def _broken(errors: Sequence[str]) -> str:
    """The end of an error where broken files may describe what is meant; errors: of these files."""
    return f". A broken file may describe what is meant: {'; '.join(errors)}" if errors else ""


def _market_reading(markets: Markets, database: Path, table: str) -> Market | None:
    """The market that reads a table, if there is one. Raises UserError if a broken file may describe it."""
    for market in markets.valid:
        if (market.source.database, market.source.table) == (absolute(database), table):
            return market
    for broken in markets.broken:
        if broken.may_mean(table):
            raise UserError(f"the market of table {table} may be the one of a broken file: {broken.error}")
    return None


def _fields_from_table(markets: Markets, database: Path, table: str) -> dict[str, Any]:
    """A market named after its table, whose features go into the same database."""
    with connect(database, read_only=True) as connection:
        extent = ohlcv_extent(connection, table)
    if extent is None:
        raise UserError(
            f"table {table} of {database} holds no hourly row; import some with feature-backfill import-ohlcv"
        )
    name = asset_slug(table)
    if name in _names(markets):
        raise UserError(
            f"configs/ has a market {name} with another source; describe {table} of {database} there under another name"
        )
    return {
        "name": name,
        "first_hour": extent[0],
        "source": {"database": absolute(database), "table": table},
        "target": absolute(database),
        "feature_sets": [],
    }


def _has_another_target(markets: Markets, options: argparse.Namespace, configured: Market) -> bool:
    """Whether --feat-duckdb names another file than the target database of the configured market.

    Raises UserError if it is the target database of yet another market.
    """
    if options.feat_duckdb is None or absolute(options.feat_duckdb) == configured.target:
        return False
    holders = [market.name for market in markets.valid if market.target == absolute(options.feat_duckdb)]
    if holders:
        raise UserError(
            f"--feat-duckdb {options.feat_duckdb} is the target database of market {holders[0]}, but the OHLCV is that "
            f"of market {configured.name}; name another file"
        )
    return True


def _separate_name(markets: Markets, configured: str, target: Path) -> str:
    """The name of a market that shares the OHLCV of a configured one and has another target database."""
    name = f"{configured}_{asset_slug(target.stem)}"
    if name in _names(markets):
        raise UserError(f"--feat-duckdb {target} would be market {name}, which configs/ describes; name another file")
    return name


def _names(markets: Markets) -> set[str | None]:
    """The names that are taken, also by broken files."""
    return {*(market.name for market in markets.valid), *(broken.name for broken in markets.broken)}


def _refuse_contradictions(configured: Market, meant: Market) -> None:
    differing = [
        f"--{flag.replace('_', '-')}"
        for feature_set in configured.feature_sets
        for flag in FEATURE_SET_FLAGS
        if _differs(flag, feature_set, meant.feature_set(feature_set.key))
    ]
    if differing:
        raise UserError(
            f"{', '.join(differing)} differs from what configs/ says of market {configured.name}; "
            "leave it out, edit the YAML, or use another --feature-key or --feat-duckdb"
        )


def _differs(flag: str, configured: FeatureSet, meant: FeatureSet) -> bool:
    """Whether a flag contradicts the configuration.

    A feature list of the same names is the same list. Where the configuration leaves the spelling of missing values to
    the stored rows, the contract of the key decides.
    """
    if getattr(configured, flag) == getattr(meant, flag):
        return False
    if flag == "feature_list":
        return configured.names != meant.names
    return not (flag == "missing" and configured.missing == "auto")
