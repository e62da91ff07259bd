"""`feature-backfill prune`: forget replaced rows that are older than anybody looks back."""

import argparse

from feature_backfill.commands.shared.database import feature_database
from feature_backfill.commands.shared.hours import parsed_hour
from feature_backfill.errors import UserError
from feature_backfill.store.database import connect
from feature_backfill.store.replaced import drop_replaced


def execute(options: argparse.Namespace) -> int:
    """Drop the rows that were replaced before a time, of one key or of all."""
    before = parsed_hour("--before", options.before)
    if before is None:
        raise UserError("--before needs a time, for example 2025-01-01")
    database = feature_database(options)
    with connect(database, read_only=True):
        pass  # a file that does not exist is not created
    with connect(database, read_only=False) as connection:
        dropped = drop_replaced(connection, before, options.feature_key)
    print(f"{dropped} rows dropped that were replaced before {before}; no row that is stored now was touched")
    return 0
