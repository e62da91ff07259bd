"""The newest results of asset checks."""

from collections.abc import Iterable

import dagster as dg


def failed_checks(instance: dg.DagsterInstance, asset: dg.AssetKey, names: Iterable[str]) -> list[str]:
    """Those of an asset's checks whose newest result is a failure that is an error: name and description."""
    found = []
    for name in names:
        record = instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(asset, name))
        evaluation = record.evaluation if record else None
        if evaluation and not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR:
            found.append(f"{name}: {evaluation.description}")
    return found
