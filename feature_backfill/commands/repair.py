"""`feature-backfill repair`: Dagster's view brought together with the tables, of one market or of all."""

import argparse

from feature_backfill.automation.repairs import repair
from feature_backfill.commands.shared.instance import dagster_instance
from feature_backfill.commands.shared.market import FEATURE_SET_FLAGS, market_and_feature_set
from feature_backfill.config import Market, configs_folder, load_markets
from feature_backfill.dagster_internals.orphans import end_orphans
from feature_backfill.errors import RunError, UserError


def execute(options: argparse.Namespace) -> int:
    """Repair market by market, say a line an asset. A market that cannot be repaired does not keep others from it."""
    markets = _markets(options)
    problems: list[UserError | RunError] = []
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


def _markets(options: argparse.Namespace) -> list[Market]:
    """The market that the flags describe, the one that --market names, or all of configs/."""
    if options.feature_key is not None:
        return [market_and_feature_set(options, options.feature_key)[0]]
    described = [flag for flag in ("duckdb", "feat_duckdb", "table", *FEATURE_SET_FLAGS) if getattr(options, flag)]
    if described:
        flags = ", ".join(f"--{flag.replace('_', '-')}" for flag in described)
        raise UserError(f"{flags}: a market is described by flags together with its --feature-key; add it")
    markets = load_markets()
    found = [market for market in markets if options.market in (None, market.name)]
    if not found:
        wanted = f"market {options.market}" if options.market else "market YAML"
        names = ", ".join(market.name for market in markets) or "none"
        raise UserError(f"no {wanted} in {configs_folder()}; there: {names}. Or give --duckdb and --feature-key")
    return found
