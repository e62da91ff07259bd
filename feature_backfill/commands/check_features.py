"""`feature-backfill check-features`: whether features of a user's own do what they declare, and nothing else."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from feature_backfill.checks.harness.examination import Examination, Verdict
from feature_backfill.checks.harness.scene import Scene, scene_of, synthetic_scene
from feature_backfill.commands.shared.defaults import DEFAULT_TABLE
from feature_backfill.commands.shared.market import market_of_table
from feature_backfill.config.modules import catalog_of, search_modules_in
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.engine.catalog import BUILT_IN, Catalog
from feature_backfill.engine.columns import BarRule, Column, IfBad
from feature_backfill.engine.compute import compute_rows
from feature_backfill.engine.lookback import Lookback
from feature_backfill.engine.timeframes import canonical_timeframes
from feature_backfill.errors import DONE, UserError
from feature_backfill.store.database import connect
from feature_backfill.store.ohlcv import read_ohlcv

FOUND = 1
"""Exit code if a feature does not do what it declares."""

UNSAID: tuple[BarRule, IfBad] = ("last", "null")
"""What a bar makes of a column, and of its bad values, where nothing says so."""


def execute(options: argparse.Namespace) -> int:
    """Try every feature of the module on the synthetic market and on the user's, and print a table for each."""
    search_modules_in(Path())
    catalog = catalog_of((options.module,))
    verdicts = [verdict for scene in _scenes(options, catalog) for verdict in _examined(scene, catalog)]
    return FOUND if any(verdict.problem for verdict in verdicts) else DONE


def _scenes(options: argparse.Namespace, catalog: Catalog) -> list[Scene]:
    """The synthetic market, and the user's if there is one."""
    lookback = Lookback(options.base_hours)
    try:
        timeframes = canonical_timeframes(options.timeframes)
        given = {name: Column(name, bar, if_bad) for name, bar, if_bad in options.column}
    except ValueError as error:
        raise UserError(str(error)) from error
    if options.duckdb is None:
        return [synthetic_scene(_columns(catalog, given), lookback, timeframes)]
    table = options.table or DEFAULT_TABLE
    source = market_of_table(options.duckdb, table).source
    columns = _columns(catalog, {column.name: column for column in source.further_columns} | given)
    with connect(options.duckdb, read_only=True) as connection:
        ohlcv = read_ohlcv(connection, table, columns=columns)
    name = f"table {table} of {options.duckdb}"
    return [synthetic_scene(columns, lookback, timeframes), scene_of(name, ohlcv, columns, lookback, timeframes)]


def _columns(catalog: Catalog, known: dict[str, Column]) -> list[Column]:
    """The further columns that the features read, as they are known."""
    return [known.get(name, Column(name, *UNSAID)) for name in catalog.columns]


def _examined(scene: Scene, catalog: Catalog) -> Sequence[Verdict]:
    """The verdicts on a market, printed."""
    rows = HourlyRows.of(scene.ohlcv, scene.columns)
    existing = compute_rows(rows, scene.targets, scene.lookback, scene.timeframes, {}, BUILT_IN).features
    verdicts = list(Examination(scene, existing).of(catalog.own.groups))
    console = Console()
    console.print(_table(scene, verdicts))
    for verdict in verdicts:
        if verdict.problem:
            console.print(Text.assemble((verdict.feature, "red"), f": {verdict.problem}"), soft_wrap=True)
        for note in verdict.notes:
            console.print(Text.assemble((verdict.feature, "yellow"), f": {note}"), soft_wrap=True)
    return verdicts


def _table(scene: Scene, verdicts: Sequence[Verdict]) -> Table:
    table = Table(title=f"On {scene.name}: {len(scene.targets)} hours", title_justify="left")
    table.add_column("feature", no_wrap=True)
    table.add_column("verdict")
    for title in ("NaN", "inf", "us/hour"):
        table.add_column(title, justify="right")
    for verdict in verdicts:
        table.add_row(
            verdict.feature,
            "[red]wrong[/]" if verdict.problem else "[green]sound[/]",
            _figure(verdict.missing, ".1%"),
            _figure(verdict.infinite, ".1%"),
            _figure(verdict.microseconds, ".1f"),
        )
    return table


def _figure(value: float, form: str) -> str:
    return "" if np.isnan(value) else f"{value:{form}}"
