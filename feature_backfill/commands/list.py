"""`feature-backfill list`: what configs/ describes: markets, sources, feature keys. Opens no database."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from feature_backfill.commands.shared.tables import Column, console, print_rows
from feature_backfill.config import FeatureSet, Market, Markets, read_markets
from feature_backfill.errors import DONE, UserError

COLUMNS = (Column("market"), Column("OHLCV", text=True), Column("feature key"), Column("a row", text=True))


def execute(options: argparse.Namespace) -> int:
    """Print a line for each feature set, and one for each broken file. Raises UserError if there is none."""
    markets = read_markets()
    if not markets.valid and not markets.broken:
        raise UserError(f"no market YAML in {markets.folder}; go to the folder that holds configs/")
    if options.json:
        print(json.dumps(list(_objects(markets)), indent=2))
        return DONE
    rows = [row for file, market in markets.by_file.items() for row in _rows(file, market)]
    out = console()
    if rows:
        print_rows(out, COLUMNS, rows, once=2)
    for error in dict.fromkeys(markets.errors):
        out.print(Text(error, "bold red"), soft_wrap=True)
    return DONE


def _rows(file: Path, market: Market) -> Iterator[list[Text]]:
    ends = [(each.key, _row(each)) for each in market.feature_sets] or [(f"none in {file.name}", "")]
    for end in ends:
        yield list(map(Text, (market.name, f"{market.source.table}, {market.source.origin}", *end)))


def _row(feature_set: FeatureSet) -> str:
    lookback = f"{feature_set.base_hours}+{feature_set.buffer_hours} hours"
    return f"{len(feature_set.names)} features, {' '.join(feature_set.timeframes)}, {lookback}"


def _objects(markets: Markets) -> Iterator[dict[str, Any]]:
    """An object for each market and each broken file, all with the same fields."""
    for file, market in markets.by_file.items():
        feature_sets = [
            {
                "feature_key": each.key,
                "features": len(each.names),
                "timeframes": list(each.timeframes),
                "base_hours": each.base_hours,
                "buffer_hours": each.buffer_hours,
            }
            for each in market.feature_sets
        ]
        yield {
            "file": str(file),
            "market": market.name,
            "ohlcv_database": str(market.source.database),
            "ohlcv_table": market.source.table,
            "target_database": str(market.target),
            "feature_sets": feature_sets,
            "error": None,
        }
    for broken in markets.broken:
        fields = dict.fromkeys(("ohlcv_database", "ohlcv_table", "target_database"))
        yield {"file": str(broken.file), "market": broken.name, **fields, "feature_sets": [], "error": broken.error}
