"""What the assets of a market have in common: keys, partitions, pool, metadata."""

import dagster as dg

from feature_backfill.config import FeatureSet, Market, checks_name
from feature_backfill.hours import PARTITION_KEY_FORMAT
from feature_backfill.store.bars import bars_table


def ohlcv_key(market: Market) -> dg.AssetKey:
    """`<market>/ohlcv`."""
    return dg.AssetKey([market.name, "ohlcv"])


def bars_key(market: Market, timeframe: str) -> dg.AssetKey:
    """`<market>/bars_4h` ..."""
    return dg.AssetKey([market.name, bars_table(timeframe)])


def features_key(market: Market, feature_set: FeatureSet) -> dg.AssetKey:
    """`<market>/features/<feature key as a slug>`."""
    return dg.AssetKey([market.name, "features", feature_set.slug])


def report_key(market: Market) -> dg.AssetKey:
    """`<market>/report`."""
    return dg.AssetKey([market.name, "report"])


def checks_key(key: dg.AssetKey) -> dg.AssetKey:
    """The asset that carries the checks of an hourly asset: `<market>/ohlcv_checks` for `<market>/ohlcv`."""
    *place, name = key.path
    return dg.AssetKey([*place, checks_name(name)])


def asset_link(key: dg.AssetKey, view: str) -> str:
    """A link, in Markdown, to a tab of an asset's page in Dagster's UI."""
    return f"[{key.to_user_string()}](/assets/{key.to_user_string()}?view={view})"


def hourly_partitions(market: Market) -> dg.HourlyPartitionsDefinition:
    """One partition an hour since the market's first, named by its bar's opening; it exists once that has closed."""
    return dg.HourlyPartitionsDefinition(
        start_date=market.first_hour.to_pydatetime(), timezone="UTC", fmt=PARTITION_KEY_FORMAT
    )


def writer_pool(market: Market) -> str:
    """The pool of everything that writes into the market's target database."""
    return market.name


def market_metadata(market: Market) -> dict[str, dg.MetadataValue]:
    """The market's links, by title."""
    return {title: dg.MetadataValue.url(link) for title, link in market.links.items()}
