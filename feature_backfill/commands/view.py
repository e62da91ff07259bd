"""`feature-backfill view`: a SQL view of a feature key in the features' database."""

import argparse

from feature_backfill.commands.shared.database import feature_database
from feature_backfill.store.database import connect
from feature_backfill.store.views import create_view


def execute(options: argparse.Namespace) -> int:
    """Create or replace the view, and say what it has."""
    database = feature_database(options)
    with connect(database, read_only=True):
        pass  # a file that does not exist is not created
    with connect(database, read_only=False) as connection:
        features = create_view(connection, options.feature_key, options.view)
    print(f"view {options.view} of {database}: ts and {features} features of {options.feature_key}")
    return 0
