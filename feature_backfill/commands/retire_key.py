"""`feature-backfill retire-key`: a feature key starts anew, for instance with other features; no row of it is lost."""

import argparse

from feature_backfill.commands.shared.database import feature_database
from feature_backfill.errors import UserError
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, has_features_table, retire_key


def execute(options: argparse.Namespace) -> int:
    """Move all rows of the key to the replaced rows. Raises UserError if it has none."""
    key, database = options.feature_key, feature_database(options)
    with connect(database, read_only=True) as connection:
        features = has_features_table(connection)
    retired = 0
    if features:
        with connect(database, read_only=False) as connection:
            ensure_features_table(connection)
            retired = retire_key(connection, key, "retire-key")
    if not retired:
        raise UserError(f"no row of {key} in {database}; feature-backfill keys lists the keys that have rows")
    print(
        f"{key}: {retired} rows moved to features_replaced; export --as-of and read_features(as_of=...) still read them"
    )
    print("next: run or backfill the key anew, then feature-backfill repair makes Dagster show what is stored")
    return 0
