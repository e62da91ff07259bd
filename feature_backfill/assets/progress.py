"""Progress of a run, for the code that started it in the same process."""

from dataclasses import dataclass, field

import pandas as pd


@dataclass
class RunReport:
    """What a run did.

    computed, kept, absent: numbers of hours. skipped: SkipReason by hour. seconds: time spent on each part.
    """

    computed: int = 0
    kept: int = 0
    absent: int = 0
    skipped: pd.Series = field(default_factory=lambda: pd.Series(dtype=object))
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def hours_per_second(self) -> float:
        """Hours computed and stored a second."""
        return self.computed / sum(self.seconds.values()) if self.computed else 0.0


class ProgressListener:
    """Listens to the progress of a run, and ignores it. A resource, which a command replaces by its progress bar."""

    def planned(self, feature_key: str, hours: int) -> None:
        """Called with the number of hours that will be computed under a key. What follows is about this key."""

    def stored(self, hours: int) -> None:
        """Called with the number of hours that were stored since the last call."""

    def finished(self, report: RunReport) -> None:
        """Called when the run is done."""
