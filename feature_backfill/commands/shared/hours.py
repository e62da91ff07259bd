"""Which hours a command's flags ask for."""

import argparse
from dataclasses import dataclass, replace

import pandas as pd

from feature_backfill.config import FeatureSet, Market
from feature_backfill.errors import UserError
from feature_backfill.hours import HOUR, hour_range, last_closed_hour, to_utc
from feature_backfill.planning.reach import resolved_range
from feature_backfill.store.bounds import utc_bound
from feature_backfill.store.database import connect
from feature_backfill.store.features import last_stored_hour
from feature_backfill.store.ohlcv import ohlcv_hours
from feature_backfill.store.targets import exists


@dataclass(frozen=True)
class Selection:
    """The hours that flags ask for.

    hours: those that are closed and that the table has, ascending. wanted: what was asked for, in words. nothing: why
    there is no such hour; empty if there is one. absent: how many closed hours were asked for that the table lacks.
    left_out: whether `wanted` says that listed hours were left out.
    """

    hours: pd.DatetimeIndex
    wanted: str
    nothing: str
    absent: int = 0
    left_out: bool = False


def parsed_hour(flag: str, text: str | None) -> pd.Timestamp | None:
    """The UTC time of a flag; an empty string counts as not given. Raises UserError if it does not parse."""
    return utc_bound(flag, text or None)


def select_hours(options: argparse.Namespace, market: Market, feature_set: FeatureSet) -> Selection:
    """The closed hours of the OHLCV table that --mode and its flags ask for.

    A range without a start is cut at the market's first hour.

    Raises UserError if the flags contradict each other, or ask for hours of the table before the market's first.
    """
    require_begun(market)
    if (options.ts or options.ts_file) and options.mode != "ts_list":
        raise UserError("--ts and --ts-file go with --mode ts_list")
    if options.mode == "ts_list":
        return _listed(market, _list_of(options))
    start, end = parsed_hour("--start", options.start), parsed_hour("--end", options.end)
    if options.mode == "last_from_features":
        newest = _newest_stored(market, feature_set)
        start = newest + HOUR if newest is not None else None
        last = last_closed_hour() if end is None else end
        if start is not None and start > last:
            return Selection(
                pd.DatetimeIndex([]),
                "",
                f"all stored: the newest row of {feature_set.key} is {newest}, the last hour asked for {last}",
            )
    first, last = resolved_range(start, end, last_closed_hour())
    if options.mode == "last_from_features" or start is None:
        first = min(max(first, market.first_hour), last)
    return select_between(market, first, last)


def select_between(market: Market, first: pd.Timestamp, last: pd.Timestamp) -> Selection:
    """The closed hours of the OHLCV table from first to last, both included.

    Raises UserError if the table has hours among them from before the market's first.
    """
    asked = hour_range(first.ceil("h"), min(last, last_closed_hour()))
    return _closed(market, asked, _table_hours(market, first, last), f"{first} .. {last}", last)


def require_begun(market: Market) -> None:
    """Raise UserError if no hour of the market has closed yet."""
    if market.first_hour > last_closed_hour():
        raise UserError(
            f"market {market.name} has no closed hour: its first_hour is {market.first_hour}, the last closed hour "
            f"{last_closed_hour()}; set an earlier first_hour in its YAML"
        )


def require_since_first_hour(market: Market, hours: pd.DatetimeIndex) -> None:
    """Raise UserError if some hours (ascending) are before the market's first: Dagster has no such partitions."""
    early = hours[hours < market.first_hour]
    if len(early):
        raise UserError(
            f"market {market.name} has the hours from {market.first_hour} to {last_closed_hour()}; asked for were also "
            f"{early[0]} .. {early[-1]}. Ask for later hours, or set an earlier first_hour in its YAML"
        )


def _list_of(options: argparse.Namespace) -> pd.DatetimeIndex:
    """The hours of --ts and --ts-file."""
    lines = list(options.ts)
    if options.ts_file is not None:
        try:
            text = options.ts_file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UserError(f"--ts-file {options.ts_file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"--ts-file {options.ts_file} is not UTF-8 text, save it as such: {error}") from error
        lines += [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError("--mode ts_list needs hours: --ts T ... or --ts-file FILE")
    try:
        return to_utc(lines).unique().sort_values()
    except ValueError as error:
        raise UserError(str(error)) from error


def _newest_stored(market: Market, feature_set: FeatureSet) -> pd.Timestamp | None:
    if not exists(market.target):
        return None
    with connect(market.target, read_only=True) as connection:
        return last_stored_hour(connection, feature_set.key, last_closed_hour())


def _listed(market: Market, hours: pd.DatetimeIndex) -> Selection:
    stored = _table_hours(market, hours[0], hours[-1])
    present = hours[hours.isin(stored)]
    closed = hours[hours <= last_closed_hour()]
    ahead, absent = len(hours) - len(closed), len(closed.difference(present))
    left_out = [f"{absent} have no row in OHLCV"] if absent else []
    left_out += [f"{ahead} have not closed"] if ahead else []
    wanted = f"{len(hours)} listed hours" + (f" ({', '.join(left_out)})" if left_out else "")
    return replace(_closed(market, hours, present, wanted, hours[-1]), left_out=bool(left_out))


def _table_hours(market: Market, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    with connect(market.source.database, read_only=True) as connection:
        return ohlcv_hours(connection, market.source.table, first, last)


def _closed(
    market: Market, asked: pd.DatetimeIndex, present: pd.DatetimeIndex, wanted: str, last: pd.Timestamp
) -> Selection:
    """The selection of the hours that are closed; it says why if there are none."""
    cutoff = last_closed_hour()
    closed = present[present <= cutoff]
    absent = int((asked <= cutoff).sum()) - len(closed)
    if len(closed):
        require_since_first_hour(market, closed)
        return Selection(closed, wanted, "", absent)
    if len(present) or last > cutoff:
        nothing = f"not closed yet: the last closed hour is {cutoff}, asked for was {wanted}"
    else:
        nothing = f"no such hours in the table: {market.source.table} has no row for {wanted}"
    return Selection(closed, wanted, nothing, absent)
