"""`feature-backfill check`: the checks of a market and a feature key, without a Dagster instance."""

import argparse
import json
from typing import Any

import dagster as dg

from feature_backfill.checks.market import look_at
from feature_backfill.cli import DONE, FAILED
from feature_backfill.commands.shared.market import market_and_feature_set


def execute(options: argparse.Namespace) -> int:
    """Make the checks, print a line each or all as JSON; FAILED if one that did not pass is an error."""
    market, feature_set = market_and_feature_set(options, options.feature_key)
    failed = False
    findings = []
    for name, result in look_at(market, feature_set):
        failed = failed or (not result.passed and result.severity is dg.AssetCheckSeverity.ERROR)
        findings.append(_finding(name, result))
        if not options.json:
            print(f"{'passed' if result.passed else result.severity.value:6}  {name}: {result.description}", flush=True)
    if options.json:
        print(json.dumps(findings, indent=2))
    return FAILED if failed else DONE


def _finding(name: str, result: dg.AssetCheckResult) -> dict[str, Any]:
    return {
        "name": name,
        "passed": result.passed,
        "severity": result.severity.value,
        "description": result.description,
        "metadata": {title: _plain(value) for title, value in result.metadata.items()},
    }


def _plain(value: Any) -> Any:
    """A metadata value as JSON can say it; a table is a list of objects."""
    if isinstance(value, dg.TableMetadataValue):
        return [record.data for record in value.records]
    return value.value if isinstance(value, dg.MetadataValue) else value
