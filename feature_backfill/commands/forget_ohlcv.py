"""`feature-backfill forget-ohlcv`: for OHLCV that was moved or renamed, and that a database no longer recognizes."""

import argparse

from feature_backfill.commands.shared.database import feature_database
from feature_backfill.store.contracts import forget_ohlcv
from feature_backfill.store.database import connect


def execute(options: argparse.Namespace) -> int:
    """Forget which OHLCV the database was computed from."""
    database = feature_database(options)
    with connect(database, read_only=True):
        pass  # a file that does not exist is not created
    with connect(database, read_only=False) as connection:
        forget_ohlcv(connection)
    print(f"{database}: the next run records the OHLCV that it reads; make sure that it is the same one")
    return 0
