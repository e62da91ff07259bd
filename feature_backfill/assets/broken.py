"""What Dagster shows of a market whose YAML is broken: an asset that says so, and the market's assets as they were.

None of them is ever executed. The market's own assets are named as its last good YAML named them, so that their history
stays in its place.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from feature_backfill.assets.names import bars_key, features_key, hourly_partitions, ohlcv_key, report_key
from feature_backfill.config import BrokenMarket, Market, Markets, asset_slug

REMEDY = "Correct the file, try it with `feature-backfill check-config`, and reload the code location."


@dataclass(frozen=True)
class ShownAsBroken:
    """A broken file. group: of its assets, its own among the markets; last_good: the market that it described before.

    last_good is None if nothing is known of it, or if another file describes a market of that name today.
    """

    broken: BrokenMarket
    group: str
    last_good: Market | None

    @property
    def error(self) -> str:
        """What is wrong, in one line, as Markdown that shows it as it is."""
        return "`" + self.broken.error.replace("`", "'") + "`"

    @property
    def key(self) -> dg.AssetKey:
        """`<group>/configuration`, the asset that says what is wrong."""
        return dg.AssetKey([self.group, "configuration"])


def shown_as_broken(markets: Markets, last_good: Iterable[Market | None]) -> list[ShownAsBroken]:
    """How to show each broken file. last_good: the market that each of them described before, in the same order.

    A group is named after the market that the file described before, else after the one that it names now, else after
    the file.
    """
    taken = {market.name for market in markets.valid}
    before: dict[Path, Market] = {}
    for broken, market in zip(markets.broken, last_good, strict=True):
        if market is not None and market.name not in taken:
            before[broken.file] = market
            taken.add(market.name)
    shown = []
    for broken in markets.broken:
        if broken.file in before:
            group = before[broken.file].name
        else:
            group = _free_group(broken, taken)
            taken.add(group)
        shown.append(ShownAsBroken(broken, group, before.get(broken.file)))
    return shown


def _free_group(broken: BrokenMarket, taken: Set[str]) -> str:
    """A group that no other market has: named after the market that a file names, else after the file."""
    stem = asset_slug(broken.file.stem)
    names = [broken.name or stem, stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def broken_assets(shown: ShownAsBroken) -> list[dg.AssetSpec]:
    """The asset that says what is wrong, and the assets of the market as it last was."""
    market = shown.last_good
    configuration = dg.AssetSpec(
        shown.key,
        group_name=shown.group,
        description=f"This market does not run. {shown.error}\n\n{REMEDY}",
        owners=list(market.owners) if market else [],
        metadata={"file": dg.MetadataValue.path(str(shown.broken.file))},
    )
    if market is None:
        return [configuration]
    ohlcv = ohlcv_key(market)
    bars = {timeframe: bars_key(market, timeframe) for timeframe in market.bar_timeframes}
    parents = {ohlcv: [], **{key: [ohlcv] for key in bars.values()}}
    for feature_set in market.feature_sets:
        read = [bars[timeframe] for timeframe in feature_set.bar_timeframes]
        parents[features_key(market, feature_set)] = [ohlcv, *read]
    report = report_key(market)
    parents[report] = [ohlcv, *(features_key(market, feature_set) for feature_set in market.feature_sets)]
    return [
        configuration,
        *(
            dg.AssetSpec(
                key,
                deps=deps,
                group_name=market.name,
                description=f"As it last was: nothing updates it. {shown.error}",
                owners=list(market.owners),
                partitions_def=None if key == report else hourly_partitions(market),
            )
            for key, deps in parents.items()
        ),
    ]
