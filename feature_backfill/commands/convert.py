"""`feature-backfill convert`: a DuckDB file rewritten in the storage version of new databases, to take less space."""

import argparse

from feature_backfill.store.conversion import convert


def execute(options: argparse.Namespace) -> int:
    """Convert the file, and say how large it was and is."""
    done = convert(options.database, keep_old=not options.no_backup)
    print(f"{options.database}: {done.before / 1e6:.1f} MB before, {done.after / 1e6:.1f} MB now")
    if done.backup is not None:
        print(f"the old file is {done.backup}; delete it when you have looked at the new one")
    return 0
