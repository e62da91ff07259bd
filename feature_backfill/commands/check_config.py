"""`feature-backfill check-config`: reads every market YAML of a folder, and says which of them are broken."""

import argparse

from feature_backfill.config import Market, read_markets
from feature_backfill.errors import DONE, UserError


def execute(options: argparse.Namespace) -> int:
    """Print a line for each market and each broken file. Raises UserError, naming the files, if one is broken."""
    if options.folder is not None and not options.folder.is_dir():
        raise UserError(f"no folder {options.folder}; name the one that holds the market YAMLs")
    markets = read_markets(None if options.folder is None else options.folder.resolve())
    if not markets.valid and not markets.broken:
        raise UserError(f"no market YAML in {markets.folder}; name another folder")
    for market in markets.valid:
        print(f"{market.name}: {_keys(market)}: ok")
    for broken in markets.broken:
        print(f"{broken.file.name} is broken: {broken.error}")
    if markets.broken:
        files = ", ".join(str(broken.file) for broken in markets.broken)
        raise UserError(
            f"{len(markets.broken)} of {len(markets.valid) + len(markets.broken)} files are broken: {files}"
        )
    return DONE


def _keys(market: Market) -> str:
    return ", ".join(feature_set.key for feature_set in market.feature_sets) or "no feature set"
