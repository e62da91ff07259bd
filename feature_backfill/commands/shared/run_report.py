"""What `run` did for a feature set, for a machine."""

from collections.abc import Sequence
from typing import Any

from feature_backfill.commands.shared.backfill import BackfillReport
from feature_backfill.commands.shared.hours import Selection
from feature_backfill.config import FeatureSet, Market
from feature_backfill.planning.counting import count_hours
from feature_backfill.planning.plan import Plan
from feature_backfill.planning.ranges import Range


def run_fields(
    market: Market,
    feature_set: FeatureSet,
    selection: Selection,
    plan: Plan | None = None,
    ranges: Sequence[Range] = (),
    done: BackfillReport | None = None,
) -> dict[str, Any]:
    """The fields of a JSON object. planned: hours to compute; computed: hours that were; both differ after --dry-run.

    skipped: hours by kind of reason. absent: closed hours that were asked for and have no OHLCV row. ranges: first and
    last hour of each run. nothing: why there was no hour to decide about, else null.
    """
    return {
        "market": market.name,
        "feature_key": feature_set.key,
        "target_database": str(market.target),
        "features": len(feature_set.names),
        "nothing": selection.nothing or None,
        "planned": 0 if plan is None else len(plan.compute),
        "computed": 0 if done is None else done.computed,
        "kept": 0 if plan is None else len(plan.kept),
        "skipped": {} if plan is None else count_hours(plan, *plan.ends).skipped.states,
        "absent": selection.absent,
        "ranges": [[first.isoformat(), last.isoformat()] for first, last in ranges],
        "seconds": 0.0 if done is None else round(done.seconds, 3),
    }
