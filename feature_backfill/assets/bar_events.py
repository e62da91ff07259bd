"""What a run of bars reports to Dagster: an event for each hour that OHLCV has."""

from collections.abc import Mapping

import dagster as dg
import pandas as pd

from feature_backfill.assets.ohlcv import row_versions
from feature_backfill.dagster_internals.reports import EventOfHours
from feature_backfill.dagster_internals.versions import VERSION_TAG
from feature_backfill.engine.bars import HourlyRows
from feature_backfill.hours import partition_keys

NO_BAR = "none ends with this hour, or OHLCV lacks another hour of it"


def bar_events(
    asset: dg.AssetKey, rows: HourlyRows, hours: pd.DatetimeIndex, built: pd.DataFrame, versions: Mapping[str, str]
) -> list[EventOfHours]:
    """The events of one timeframe: a bar's own close and volume at its last hour, and a word at the other hours.

    rows: that the bars are built from. hours: of the run. versions: tags that say what the bars rest on.
    """
    present = hours[hours.isin(rows.stamps)]
    bars = built[built["timestamp"].isin(present)]
    ends_at = pd.DatetimeIndex(bars["timestamp"])
    ends = dg.AssetMaterialization(asset, tags=dict(versions))
    none = dg.AssetMaterialization(asset, metadata={"bar": NO_BAR}, tags={**versions, VERSION_TAG: "no bar"})
    return [
        EventOfHours(none, partition_keys(present.difference(ends_at))),
        EventOfHours(
            ends,
            partition_keys(ends_at),
            numbers={name: bars[name].tolist() for name in ("close", "volume")},
            tags={VERSION_TAG: list(row_versions(bars))},
        ),
    ]
