"""The command line, called in this process."""

from feature_backfill.cli import main
from feature_backfill_tests.markets import LOOKBACK, WHERE


def run(*arguments: object, key: str = "short", where: tuple[str, ...] = WHERE) -> int:
    """`feature-backfill run` on the small market; returns its exit code."""
    return main(["run", *where, "--feature-key", key, *LOOKBACK, *map(str, arguments)])
