"""Which stored rows OHLCV no longer bears out."""

from dataclasses import dataclass

import pandas as pd

from feature_backfill.config import FeatureSet
from feature_backfill.planning.plan import Plan

NO_INPUTS = pd.DataFrame({"digest": [], "settings": []}, index=pd.DatetimeIndex([], dtype="datetime64[us]"))


@dataclass(frozen=True)
class Staleness:
    """What is stale among stored hours. An hour is stale if its row was computed from other OHLCV than there is now.

    renewable: stale hours that can be computed anew. unsound: stale hours that cannot, with their SkipReason.
    Two kinds of rows cannot be judged. other_settings: hours stored when the feature key had another lookback, other
    timeframes or other names. unknown: hours that somebody else wrote, without a digest.
    """

    renewable: pd.DatetimeIndex
    unsound: pd.Series
    other_settings: pd.DatetimeIndex
    unknown: pd.DatetimeIndex

    @property
    def stale(self) -> pd.DatetimeIndex:
        """The stale hours, ascending, whether they can be computed anew or not."""
        return self.renewable.union(pd.DatetimeIndex(self.unsound.index))


def staleness(feature_set: FeatureSet, plan: Plan, stored: pd.DatetimeIndex, inputs: pd.DataFrame | None) -> Staleness:
    """What is stale among stored hours (ascending), given the plan that keeps the current ones of them.

    inputs: what the rows were computed from, hours x (digest, settings), of those that the project wrote.
    """
    inputs = NO_INPUTS if inputs is None else inputs[inputs.index.isin(stored)]
    known = pd.DatetimeIndex(inputs.index)
    impossible = plan.impossible
    return Staleness(
        renewable=plan.compute,
        unsound=impossible[impossible.index.isin(plan.stale)],
        other_settings=known[(inputs["settings"] != feature_set.settings).to_numpy()],
        unknown=stored.difference(known),
    )
