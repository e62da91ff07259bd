"""A prediction for each hour that has a row of features. The model is a toy; everything around it is not."""

from collections.abc import Iterator

import dagster as dg
import duckdb
import numpy as np
import pandas as pd

from feature_backfill import read_features
from feature_backfill.dagster import (
    EVERY_NEW_HOUR,
    FeatureSet,
    Market,
    features_key,
    hourly_partitions,
    hours_of_run,
    partition_key,
    problems_of,
)

WEIGHTS = {"desk_momentum_20_4H": 0.4, "desk_over_ema_50_1H": 3.0, "desk_taker_share_10_1H": 0.8}


def predictions_asset(market: Market, feature_set: FeatureSet) -> dg.AssetsDefinition:
    """`<market>/predictions`: asked for as soon as rows are there, hour by hour or for any range.

    An hour without a row of features has no prediction and stays missing.
    """

    @dg.asset(
        key=[market.name, "predictions"],
        deps=[features_key(market, feature_set)],
        partitions_def=hourly_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=EVERY_NEW_HOUR,
        group_name=market.name,
        pool=f"{market.name}_predictions",
        output_required=False,
    )
    def predictions(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        problems = problems_of(context.instance, market, feature_set)
        if problems:
            raise dg.Failure(f"no predictions on rows that failed a check: {'; '.join(problems)}", allow_retries=False)
        predicted = predict(market, feature_set, hours_of_run(context))
        store(market, predicted)
        for hour, up in predicted.items():
            yield dg.AssetMaterialization(context.asset_key, partition=partition_key(hour), metadata={"up": up})

    return predictions


def predict(market: Market, feature_set: FeatureSet, hours: pd.DatetimeIndex) -> "pd.Series[float]":
    """How likely the next hour is to close higher, by hour, of those hours that have a row."""
    rows = read_features(market.target_database, feature_set.key, hours[0], hours[-1], columns=list(WEIGHTS))
    score = rows[rows.index.isin(hours)] @ pd.Series(WEIGHTS)
    return (1 / (1 + np.exp(-score.dropna()))).rename("up")


def store(market: Market, predicted: "pd.Series[float]") -> None:
    """Put predictions into the desk's own database, beside the market's."""
    frame = predicted.rename_axis("ts").reset_index()
    with duckdb.connect(market.target_database.with_name("predictions.duckdb")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS predictions (ts TIMESTAMP PRIMARY KEY, up DOUBLE NOT NULL)")
        connection.register("frame", frame)
        connection.execute("INSERT OR REPLACE INTO predictions SELECT ts, up FROM frame")
