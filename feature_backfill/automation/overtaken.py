"""Stored hours that read failed, because a later run meant to materialize them and failed: they are shown anew."""

import dagster as dg
import pandas as pd

from feature_backfill.automation.runs import Runs, hours_on_their_way
from feature_backfill.dagster_internals.partition_status import newest_materializations
from feature_backfill.dagster_internals.reports import EventOfHours, report_runless
from feature_backfill.hours import hours_of, partition_keys


def show_overtaken(runs: Runs, job: str, asset: dg.AssetKey, stored: pd.DatetimeIndex) -> None:
    """Report the stored hours (ascending) that the last run over them did not report.

    Hours that a queued or going run sees to are left to it, and so are hours that no run was ever to materialize.
    """
    plans = runs.plans(asset)
    materialized = newest_materializations(runs.instance, asset) if plans else {}
    overtaken = hours_of(key for key, planned in plans.items() if planned > materialized.get(key, 0))
    hours = overtaken.intersection(stored)
    if len(hours):
        hours = hours.difference(hours_on_their_way(runs, job, asset, hours))
        report_found(runs.instance, asset, hours)


def report_found(instance: dg.DagsterInstance, asset: dg.AssetKey, hours: pd.DatetimeIndex) -> None:
    """Report hours as materialized that no run has reported, although what they stand for is stored."""
    found = dg.AssetMaterialization(asset, metadata={"row": "found stored"})
    report_runless(instance, [EventOfHours(found, partition_keys(hours))])
