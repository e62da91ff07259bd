"""`feature-backfill status`: how every feature set stands, as a table or as JSON. Quick, as it imports no Dagster."""

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from rich.text import Text

from feature_backfill.commands.shared.market import market_named
from feature_backfill.commands.shared.overview import Overview, known_checks, overviews
from feature_backfill.commands.shared.tables import Column, console, print_rows
from feature_backfill.config import BrokenMarket, Market, read_markets
from feature_backfill.dagster_internals.check_records import LastChecks
from feature_backfill.errors import DONE, UserError
from feature_backfill.hours import utc_now
from feature_backfill.planning.counting import COMPUTABLE
from feature_backfill.planning.standing import rows_ahead

COLUMNS = (
    Column("market"),
    Column("feature key"),
    Column("hours", right=True),
    Column("newest (UTC)"),
    Column("behind", right=True),
    Column("missing", text=True),
    Column("stale", right=True),
    Column("last check", text=True),
)

GOOD, WORTH_A_LOOK, BAD, UNKNOWN = "green", "yellow", "bold red", "dim"


def execute(options: argparse.Namespace) -> int:
    """Print a line for each feature set, and one for each file that cannot be used. Whatever they say is no failure.

    Raises UserError if there is no market, or none of the name that is given.
    """
    markets, broken = _asked(options.market)
    checks, ignorance = known_checks()
    every = list(overviews(markets, checks))
    if options.json:
        print(json.dumps([*map(_fields, every), *map(_broken_fields, broken)], indent=2))
        return DONE
    out = console()
    if every:
        rows = [[Text(line.market), Text(line.key), *_cells(line)] for line in every]
        print_rows(out, COLUMNS, rows, once=1)
    for market in markets:
        if not market.feature_sets:
            out.print(f"{market.name} has no feature set", markup=False, highlight=False)
    errors = [f"{line.market}: {line.error}" for line in every if line.error]
    errors += [f"{_name(each)} does not run: {each.error}" for each in broken]
    for error in dict.fromkeys(errors):
        out.print(Text(error, BAD), soft_wrap=True)
    for remark in dict.fromkeys(remark for line in every for remark in _remarks(line)):
        out.print(Text(remark, WORTH_A_LOOK), soft_wrap=True)
    if ignorance:
        out.print(Text(ignorance, UNKNOWN), soft_wrap=True)
    return DONE


def _asked(name: str | None) -> tuple[Sequence[Market], Sequence[BrokenMarket]]:
    """The markets and the broken files to show."""
    markets = read_markets()
    if not markets.valid and not markets.broken:
        raise UserError(f"no market YAML in {markets.folder}; go to the folder that holds configs/")
    if name is None:
        return markets.valid, markets.broken
    broken = [each for each in markets.broken if _name(each) == name]
    return ([], broken) if broken else ([market_named(markets, name)], [])


def _name(broken: BrokenMarket) -> str:
    return broken.name or broken.file.name


def _cells(line: Overview) -> list[Text]:
    if line.error is not None:
        return [Text("?", BAD), Text(""), Text(""), Text("cannot be read, see below", BAD)]
    return [
        Text(f"{line.hours:,}", "" if line.hours else WORTH_A_LOOK),
        Text("nothing stored" if line.newest is None else f"{line.newest:%Y-%m-%d %H:%M}"),
        _behind(line),
        _missing(line),
        _stale(line),
        _checks(line),
    ]


def _remarks(line: Overview) -> Iterator[str]:
    """What is to be said of a feature set beneath the table."""
    if line.no_target is not None:
        yield f"{line.market}: {line.no_target} does not exist yet; the first run makes it"
    if len(line.ahead):
        yield f"{line.key} of {line.market}: {rows_ahead(line.ahead)}"


def _behind(line: Overview) -> Text:
    if line.behind is None:
        return Text("-", UNKNOWN)
    late = f" (OHLCV {line.ohlcv_behind:,})" if line.ohlcv_behind else ""
    return Text(f"{line.behind:,}{late}", GOOD if line.behind == 0 else WORTH_A_LOOK if line.behind == 1 else BAD)


def _missing(line: Overview) -> Text:
    if line.ohlcv_behind is None:
        return Text("OHLCV has no closed hour", WORTH_A_LOOK)
    if line.missing is None:
        return Text("none", GOOD)
    parts = [
        Text(f"{count:,} {state}", WORTH_A_LOOK if state == COMPUTABLE else "")
        for state, count in line.missing.states.items()
    ]
    return Text(", ").join(parts)


def _stale(line: Overview) -> Text:
    if line.stale is None:
        return Text("?", UNKNOWN)
    return Text(f"{line.stale:,}", BAD if line.stale else GOOD)


def _checks(line: Overview) -> Text:
    """When the checks of a feature set were last made, and what those of its OHLCV and its own found."""
    made = [checks for checks in (line.ohlcv_checks, line.checks) if checks is not None]
    if not made:
        return Text("?", UNKNOWN)
    failed, warned = _together(made)
    unmade = sum(checks.unmade for checks in made)
    ago = _ago(utc_now() - min(checks.made for checks in made))
    parts = [f"{', '.join(failed)} failed"] if failed else []
    parts += [f"{unmade} not made"] if unmade else []
    parts += [f"{', '.join(warned)} warned"] if warned else []
    style = BAD if failed or unmade else WORTH_A_LOOK if warned else GOOD
    return Text(f"{ago}: {'; '.join(parts) or 'passed'}", style)


def _together(made: Sequence[LastChecks]) -> tuple[list[str], list[str]]:
    return [name for each in made for name in each.failed], [name for each in made for name in each.warned]


def _ago(time: pd.Timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    if minutes < 120:
        return f"{max(minutes, 0)} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"


def _fields(line: Overview) -> dict[str, Any]:
    """An overview for a machine: times as ISO text in UTC; null is not known."""
    made = [checks for checks in (line.ohlcv_checks, line.checks) if checks is not None]
    failed, warned = _together(made)
    return {
        "market": line.market,
        "feature_key": line.key,
        "hours": line.hours,
        "oldest": _iso(line.oldest),
        "newest": _iso(line.newest),
        "hours_not_closed": len(line.ahead),
        "hours_behind": line.behind,
        "ohlcv_hours_behind": line.ohlcv_behind,
        "missing": {} if line.missing is None else line.missing.states,
        "stale": line.stale,
        "last_check": {
            "made": _iso(min(checks.made for checks in made)),
            "failed": failed,
            "warned": warned,
            "not_made": sum(checks.unmade for checks in made),
        }
        if made
        else None,
        "error": line.error,
    }


def _broken_fields(broken: BrokenMarket) -> dict[str, Any]:
    return {**_fields(Overview(_name(broken), "", error=broken.error)), "feature_key": None}


def _iso(time: pd.Timestamp | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")
