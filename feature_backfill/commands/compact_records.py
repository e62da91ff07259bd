"""`feature-backfill compact-records`: Dagster's event log made as small as if today's version had written all of it."""

import argparse
import sys

from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.dagster_internals.compaction import compact


def execute(options: argparse.Namespace) -> int:
    """Compact the records of DAGSTER_HOME, and say how large they were and are."""
    with dagster_instance() as instance:
        done = compact(instance, options.dry_run)
    for problem in done.left:
        print(problem, file=sys.stderr)
    print(done.summary)
    return 0
