"""What the desk adds: as a code location of its own, beside that of feature_backfill (see workspace.yaml)."""

import dagster as dg

from feature_backfill.dagster import load_markets
from my_desk.predictions import predictions_asset

SECONDS = 10
"""Between two looks for rows that are new."""


def desk_definitions() -> dg.Definitions:
    """Predictions for the feature set `desk` of each market that has one."""
    assets = [
        predictions_asset(market, feature_set)
        for market in load_markets()
        for feature_set in market.feature_sets
        if feature_set.key == "desk"
    ]
    sensor = dg.AutomationConditionSensorDefinition(
        "predictions",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    return dg.Definitions(assets=assets, sensors=[sensor])


@dg.definitions
def defs() -> dg.Definitions:
    """The code location."""
    return desk_definitions()
