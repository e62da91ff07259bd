"""Which markets share a run: a run's start takes as long as an hour of many markets."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

FEWEST, MOST = 20, 100
"""A run of fewer markets would spend more time on its start than on its work. One of more would leave cores idle, and
would be a lot to lose."""

MOST_HOURS = 12_000
"""A market that has been off for long gets a run of its own, so that nobody waits for it."""


@dataclass(frozen=True)
class Wish:
    """What is asked for of a market. hours: of all its feature sets together. failures: runs in a row that failed."""

    market: str
    hours: int
    failures: int


def shared_runs(wishes: Sequence[Wish], cores: int) -> list[list[str]]:
    """The markets of each run, the least work first.

    Markets whose last run failed are kept apart from the others, and share runs with fewer and fewer of their kind: a
    quarter after each failure. So a market that breaks whatever run it is in is alone in the end.
    """
    runs = []
    for failures, alike in groupby(sorted(wishes, key=lambda wish: (wish.failures, wish.hours)), _failures):
        group = list(alike)
        most = max(min(MOST, max(FEWEST, -(-len(group) // cores))) // 4**failures, 1)
        run: list[str] = []
        hours = 0
        for wish in group:
            if run and (len(run) == most or hours + wish.hours > MOST_HOURS):
                runs.append(run)
                run, hours = [], 0
            run.append(wish.market)
            hours += wish.hours
        runs.append(run)
    return runs


def _failures(wish: Wish) -> int:
    return wish.failures
