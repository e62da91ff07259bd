"""A progress bar for a run in this process."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from feature_backfill.assets.progress import ProgressListener, RunReport


class ProgressBar(ProgressListener):
    """Draws a bar on standard error while that is a terminal, and keeps the reports of the runs."""

    def __init__(self) -> None:
        self.reports: list[RunReport] = []
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("hours"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task: TaskID | None = None

    def planned(self, feature_key: str, hours: int) -> None:
        """Start the bar."""
        self._bar.start()
        self._task = self._bar.add_task("computing", total=hours)

    def stored(self, hours: int) -> None:
        """Advance the bar."""
        if self._task is not None:
            self._bar.advance(self._task, hours)

    def finished(self, report: RunReport) -> None:
        """End the bar."""
        self.reports.append(report)
        self._bar.stop()
