"""A table that somebody else fills: there is nothing to bring."""

import pandas as pd

from feature_backfill.config import Market
from feature_backfill.sources.source import Brought, Progress


class Table:
    """The source of a market whose YAML names a table and nothing else."""

    def bring(
        self,
        market: Market,
        since: pd.Timestamp | None,
        awaited: pd.Timestamp | None,
        brought: Brought,
        progress: Progress,
    ) -> None:
        """Do nothing."""
