"""The sources of OHLCV, by their settings in the YAML. A new one is a file here, its settings, and a line below."""

import pandas as pd

from feature_backfill.config import ExchangeSource, Market, OhlcvSource
from feature_backfill.sources.exchange import Exchange
from feature_backfill.sources.folder import Folder
from feature_backfill.sources.source import Brought, Progress, Source, no_progress
from feature_backfill.sources.table import Table


def source_of(settings: OhlcvSource) -> Source:
    """The source that settings describe."""
    if isinstance(settings, ExchangeSource):
        return Exchange(settings)
    return Table() if settings.folder is None else Folder(settings.folder)


def bring(
    market: Market,
    since: pd.Timestamp | None = None,
    awaited: pd.Timestamp | None = None,
    brought: Brought | None = None,
    progress: Progress = no_progress,
) -> Brought:
    """Bring a market's table up to date from its source, as Source.bring does."""
    brought = Brought() if brought is None else brought
    source_of(market.source).bring(market, since, awaited, brought, progress)
    return brought
