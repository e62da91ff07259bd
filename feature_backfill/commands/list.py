"""`feature-backfill list`: what configs/ describes: markets, sources, feature keys. Opens no database."""

import argparse

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from feature_backfill.commands.status import PIPE_WIDTH
from feature_backfill.config import FeatureSet, read_markets
from feature_backfill.errors import DONE, UserError


def execute(options: argparse.Namespace) -> int:
    """Print a line for each feature set, and one for each broken file. Raises UserError if there is none."""
    markets = read_markets()
    if not markets.valid and not markets.broken:
        raise UserError(f"no market YAML in {markets.folder}; go to the folder that holds configs/")
    table = Table("market", "OHLCV", "feature key", "a row", box=SIMPLE_HEAD, pad_edge=False)
    for file, market in markets.by_file.items():
        name, source = market.name, f"{market.source.table}, {market.source.origin}"
        for feature_set in market.feature_sets:
            table.add_row(name, source, feature_set.key, _row(feature_set))
            name = source = ""
        if not market.feature_sets:
            table.add_row(name, source, f"none in {file.name}", "")
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    if markets.valid:
        console.print(table, markup=False)
    for error in markets.errors:
        console.print(error, style="bold red", markup=False, soft_wrap=True)
    return DONE


def _row(feature_set: FeatureSet) -> str:
    lookback = f"{feature_set.base_hours}+{feature_set.buffer_hours} hours"
    return f"{len(feature_set.names)} features, {' '.join(feature_set.timeframes)}, {lookback}"
