"""`feature-backfill keys`: the feature keys of a database, with their rows and contracts."""

import argparse
import json
from typing import Any

from feature_backfill.commands.shared.database import feature_database
from feature_backfill.store.database import connect
from feature_backfill.store.keys import StoredKey, stored_keys


def execute(options: argparse.Namespace) -> int:
    """Print a line for each key, or a JSON list of objects."""
    database = feature_database(options)
    with connect(database, read_only=True) as connection:
        keys = stored_keys(connection)
    if options.json:
        print(json.dumps([_fields(key) for key in keys], indent=2))
    else:
        print("\n".join(map(_line, keys)) or f"no features in {database}")
    return 0


def _fields(key: StoredKey) -> dict[str, Any]:
    contract = key.contract
    return {
        "key": key.key,
        "hours": key.hours,
        "first": key.first.isoformat(),
        "last": key.last.isoformat(),
        "features": len(contract.names),
        "names": list(contract.names),
        "timeframes": list(contract.used_timeframes),
        "base_hours": contract.base_hours,
        "buffer_hours": contract.buffer_hours,
        "missing": contract.missing,
        "modules": [str(module) for module in contract.modules],
        "columns": list(contract.columns),
        "market": contract.ohlcv.market if contract.ohlcv else None,
        "ohlcv_database": contract.ohlcv.database if contract.ohlcv else None,
        "ohlcv_table": contract.ohlcv.table if contract.ohlcv else None,
        "json_bytes": key.json_bytes,
    }


def _line(key: StoredKey) -> str:
    """A key in one line of text."""
    contract = key.contract
    bars = f" on {' '.join(contract.used_timeframes)} bars"
    lookback = "" if contract.base_hours is None else f" from {contract.base_hours}+{contract.buffer_hours} hours"
    own = f", those of {', '.join(map(str, contract.modules))} among them" if contract.modules else ""
    origin = f", {contract.ohlcv}" if contract.ohlcv else ", of an unknown market and lookback (no run has added a row)"
    return (
        f"{key.key}: {key.hours} hours, {key.first} .. {key.last}; {len(contract.names)} features{bars}{lookback}"
        f"{own}{origin}; missing values as {contract.missing}; {key.json_bytes / 1e6:.1f} MB of JSON"
    )
