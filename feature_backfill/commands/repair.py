"""`feature-backfill repair`: Dagster's view brought together with the tables, of one market or of all."""

import argparse

from feature_backfill.automation.repairs import repair
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.market import FEATURE_SET_FLAGS, market_and_feature_set, market_named
from feature_backfill.config import Market, read_markets
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.errors import RunError, UserError


def execute(options: argparse.Namespace) -> int:
    """Repair market by market, say a line an asset. A market that cannot be repaired does not keep others from it."""
    markets, broken = _markets(options)
    problems: list[UserError | RunError] = [UserError(error) for error in broken]
    with dagster_instance() as instance:
        for run_id in end_orphans(instance, options.dry_run):
            print(f"run {run_id}: its process is gone, {'would be ended' if options.dry_run else 'ended'}")
        for market in markets:
            try:
                differences = repair(instance, market, options.dry_run)
            except (UserError, RunError) as error:
                problems.append(type(error)(f"market {market.name}: {error}"))
                continue
            for difference in differences:
                print(difference.summary(options.dry_run))
    if problems:
        failed = any(isinstance(problem, RunError) for problem in problems)
        raise (RunError if failed else UserError)("; ".join(map(str, problems)))
    return 0


def _markets(options: argparse.Namespace) -> tuple[list[Market], list[str]]:
    """The market that the flags describe, the one that --market names, or all of configs/ and its broken files."""
    if options.feature_key is not None:
        return [market_and_feature_set(options, options.feature_key)[0]], []
    described = [flag for flag in ("duckdb", "feat_duckdb", "table", *FEATURE_SET_FLAGS) if getattr(options, flag)]
    if described:
        flags = ", ".join(f"--{flag.replace('_', '-')}" for flag in described)
        raise UserError(f"{flags}: a market is described by flags together with its --feature-key; add it")
    markets = read_markets()
    if options.market is not None:
        return [market_named(markets, options.market)], []
    if not markets.valid and not markets.broken:
        raise UserError(f"no market YAML in {markets.folder}. Or give --duckdb and --feature-key")
    return markets.valid, markets.errors
