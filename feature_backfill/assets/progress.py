"""What a run of features tells whoever started it in the same process."""

from dataclasses import dataclass, field

import pandas as pd


@dataclass
class RunReport:
    """What a run did.

    computed, kept, absent: numbers of hours; skipped: reason by hour; seconds: spent on each part.
    """

    computed: int = 0
    kept: int = 0
    absent: int = 0
    skipped: pd.Series = field(default_factory=lambda: pd.Series(dtype=object))
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def hours_per_second(self) -> float:
        """Computed hours a second, storing included."""
        return self.computed / sum(self.seconds.values()) if self.computed else 0.0


class ProgressListener:
    """Hears of a run's progress; this one does nothing with it. A resource, so that a front door can put its own in."""

    def planned(self, hours: int) -> None:
        """So many hours will be computed."""

    def stored(self, hours: int) -> None:
        """So many more hours are computed and stored."""

    def finished(self, report: RunReport) -> None:
        """The run is done."""
