"""From what is found at one look to what changed since the one before."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a finding is about."""

    CHECK = "check"
    RUN = "run"
    ROW = "row"
    CONTRACT = "contract"
    CONFIGURATION = "configuration"
    RESTATED = "restated"


class State(StrEnum):
    """How it stands with it. NEWS is no state: it is told whenever it is found."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    NEWS = "news"


@dataclass(frozen=True)
class Finding:
    """How something of a market stands. about: what it is, within its kind. details: why, in one line."""

    market: str
    kind: Kind
    about: str
    state: State
    details: str = ""

    @property
    def place(self) -> str:
        """What is remembered of it: the same for all findings about the same thing."""
        return f"{self.market} {self.kind} {self.about}"


def changes(standing: dict[str, State], findings: Iterable[Finding]) -> list[Finding]:
    """Those of the findings that are not as they stood before; the last counts where several are about one thing.

    standing: the state of what is not good, by place. It is brought up to date.
    """
    newest = {finding.place: finding for finding in findings}
    changed = []
    for place, finding in newest.items():
        if finding.state is State.NEWS:
            changed.append(finding)
            continue
        if standing.get(place, State.GOOD) != finding.state:
            changed.append(finding)
        if finding.state is State.GOOD:
            standing.pop(place, None)
        else:
            standing[place] = finding.state
    return changed
