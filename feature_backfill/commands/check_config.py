"""`feature-backfill check-config`: reads every market YAML of a folder, and says which of them are broken."""

import argparse

from feature_backfill.alerts.sending import refuse_bad_addresses
from feature_backfill.config import Market, Markets, read_alerts, read_markets
from feature_backfill.errors import DONE, UserError


def execute(options: argparse.Namespace) -> int:
    """Print a line for each market, each broken file and alerts.yaml.

    Raises UserError, naming the files, if one is broken.
    """
    if options.folder is not None and not options.folder.is_dir():
        raise UserError(f"no folder {options.folder}; name the one that holds the market YAMLs")
    markets = read_markets(None if options.folder is None else options.folder.resolve())
    if not markets.valid and not markets.broken:
        raise UserError(f"no market YAML in {markets.folder}; name another folder")
    for market in markets.valid:
        print(f"{market.name}: {_keys(market)}: ok")
    for broken in markets.broken:
        print(f"{broken.file.name} is broken: {broken.error}")
    _check_alerts(markets)
    if markets.broken:
        files = ", ".join(str(broken.file) for broken in markets.broken)
        raise UserError(
            f"{len(markets.broken)} of {len(markets.valid) + len(markets.broken)} files are broken: {files}"
        )
    return DONE


def _check_alerts(markets: Markets) -> None:
    """Raise UserError if alerts.yaml is broken, or names a market or an address that there is not."""
    alerts = read_alerts(markets.folder)
    if alerts is None:
        return
    refuse_bad_addresses(alerts)
    names = {*(market.name for market in markets.valid), *(broken.name for broken in markets.broken)}
    unknown = [
        f"targets.{target.name}: no market {name}"
        for target in alerts.targets
        for name in target.markets
        if name not in names
    ]
    if unknown:
        raise UserError(f"alerts.yaml: {'; '.join(unknown)}; there are {', '.join(sorted(filter(None, names)))}")
    print(f"alerts.yaml: {', '.join(target.name for target in alerts.targets)}: ok")


def _keys(market: Market) -> str:
    return ", ".join(feature_set.key for feature_set in market.feature_sets) or "no feature set"
