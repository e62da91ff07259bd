"""How a sensor that looks at all markets divides its time among them, and what it says of them."""

import time
from collections.abc import Iterator, Sequence

from feature_backfill.config import Market

LOOKING_S = 10.0
"""How long a tick looks: the runs that it asks for begin while the next tick looks at the rest. Dagster allows it 60 s,
and the look at the last market takes time too."""

WAIT_S = 0.5
"""How long a tick waits for a database that is taken; the next tick tries again."""

SAID = 20
"""A message is about so many feature sets or markets; of the others it says how many there are."""


ALL = "."
"""The cursor of a tick that looked at all markets. None has this name, and an empty cursor would leave the last one."""


class Round:
    """The markets of a tick, one after another for as long as there is time, from where the last tick stopped on.

    cursor: of the last tick; in the end, of this one: the name of the last market that it looked at, or ALL.
    left: number of markets that the tick did not get to.
    """

    def __init__(self, markets: Sequence[Market], cursor: str | None):
        stopped_at = "" if cursor is None or cursor == ALL else cursor
        begin = next((number for number, market in enumerate(markets) if market.name > stopped_at), 0)
        self._markets = [*markets[begin:], *markets[:begin]]
        self.cursor = ALL
        self.left = 0

    def __iter__(self) -> Iterator[Market]:
        started = time.monotonic()
        for number, market in enumerate(self._markets):
            if number and time.monotonic() - started > LOOKING_S:
                self.cursor = self._markets[number - 1].name
                self.left = len(self._markets) - number
                return
            yield market


class Sayings:
    """What a tick says: of each market or feature set something, and of one to which nothing happened nothing new."""

    def __init__(self) -> None:
        self._news: list[tuple[str, str]] = []
        self._quiet: list[tuple[str, str]] = []

    def say(self, name: str, message: str, quiet: bool = False) -> None:
        """Note what there is to say. quiet: nothing happened."""
        (self._quiet if quiet else self._news).append((name, message))

    def text(self, left: int) -> str:
        """All of it in one line; left: number of markets that the tick did not get to."""
        if len(self._news) + len(self._quiet) == 1:
            return (self._news or self._quiet)[0][1]
        parts = [f"{name}: {message}" for name, message in self._news[:SAID]]
        more = len(self._news) - SAID
        parts += [f"{more} more have news"] if more > 0 else []
        parts += [f"nothing new at {len(self._quiet)}"] if self._quiet else []
        parts += [f"{left} markets are left to the next tick"] if left else []
        return " | ".join(parts)
