"""A folder of files: all of them are imported."""

from pathlib import Path

import pandas as pd

from feature_backfill.config import Market
from feature_backfill.errors import UserError
from feature_backfill.sources.files import import_files
from feature_backfill.sources.source import Brought, Progress
from feature_backfill.store.files import SUFFIXES


class Folder:
    """The source of a market whose YAML names a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bring(
        self,
        market: Market,
        since: pd.Timestamp | None,
        awaited: pd.Timestamp | None,
        brought: Brought,
        progress: Progress,
    ) -> None:
        """Import every file, whatever its hours. A file that cannot be read is said, and the others are imported."""
        if not self._folder.is_dir():
            raise UserError(f"no folder {self._folder}; create it, or correct the source of market {market.name}")
        files = sorted(path for path in self._folder.iterdir() if path.name.lower().endswith(SUFFIXES))
        for position, file in enumerate(files):
            progress("files", position, len(files))
            try:
                report = import_files([file], market.source.database, market.source.table)
            except UserError as error:
                brought.warnings.append(str(error))
                continue
            brought.add("files", report.new, report.changed, report.same, report.hours)
            for reason, count in report.refused.items():
                brought.warnings.append(f"refused {count}, {reason} (first: {report.examples[reason]})")
        progress("files", len(files), len(files))
