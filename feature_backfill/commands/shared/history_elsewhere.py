"""The history of many markets where runs are executed on other machines: the sensor requests it, this process watches.

Each run has a bounded number of hours. One whose machine dies is requested again, so that this process may end, too.
"""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import dagster as dg
from rich.progress import Progress

from feature_backfill.automation.history import wish_history
from feature_backfill.automation.runs import NEW_HOURS
from feature_backfill.commands.shared.market_worker import Outcome
from feature_backfill.commands.shared.overview import Overview, overviews
from feature_backfill.config import Market
from feature_backfill.dagster_internals.daemons import evaluates_sensors
from feature_backfill.engine.soundness import SkipKind
from feature_backfill.errors import UserError
from feature_backfill.planning.counting import COMPUTABLE

LOOK_EVERY_S = 5.0
MOST_ERRORS = 6
"""A market whose files cannot be read so many times in a row is given up. A file that is being written can be soon."""
STALLED_S = 900.0
"""After so long without a row this process gives up watching. A run's start on a cluster takes seconds."""

Key = tuple[str, str]


def fill_elsewhere(instance: dg.DagsterInstance, markets: Sequence[Market], bar: Progress) -> list[Outcome]:
    """Wish for all history of markets, and wait until every hour that can be computed is stored.

    A market that cannot be read, or of which nothing is stored for a long time, is given up. Raises UserError if no
    daemon evaluates sensors, or the sensor leaves one of the markets alone.
    """
    if not evaluates_sensors(instance):
        raise UserError(
            "runs are executed on other machines, and no daemon is running that would request them: start "
            "dagster-daemon run, or dagster dev"
        )
    wish_history(instance, markets, None)
    watch = _Watch(markets, bar)
    try:
        while watch.waiting:
            time.sleep(LOOK_EVERY_S)
            watch.look()
    except KeyboardInterrupt:
        print(f"the sensor {NEW_HOURS} goes on requesting what is not stored", file=sys.stderr)
        raise
    return watch.outcomes()


class _Watch:
    """What is stored of markets, from the beginning to the end."""

    def __init__(self, markets: Sequence[Market], bar: Progress) -> None:
        self.waiting = list(markets)
        self._markets, self._bar = markets, bar
        self._begun = self._last_progress = time.monotonic()
        self._first = self._now = _looked_at(markets)
        self._seconds: dict[str, float] = {}
        self._errors = Counter[str]()
        self._given_up: dict[str, str] = {}
        bar.update(bar.task_ids[0], planned=sum(map(_to_compute, self._first.values())))

    def look(self) -> None:
        """Look at the markets that are not complete."""
        before = self._stored()
        self._now = {**self._now, **_looked_at(self.waiting)}
        now = time.monotonic()
        if self._stored() > before:
            self._last_progress = now
        for market in self.waiting:
            lines = [self._now[market.name, each.key] for each in market.feature_sets]
            error = self._why_given_up(market.name, lines, now - self._last_progress)
            if error is not None:
                self._given_up[market.name] = error
            if error is not None or all(map(_is_done, lines)):
                self._seconds[market.name] = now - self._begun
                self._bar.advance(self._bar.task_ids[0])
        self.waiting = [market for market in self.waiting if market.name not in self._seconds]
        self._bar.update(self._bar.task_ids[0], stored=self._stored())

    def _why_given_up(self, market: str, lines: Sequence[Overview], silent_s: float) -> str | None:
        error = next((line.error for line in lines if line.error), None)
        self._errors[market] = self._errors[market] + 1 if error else 0
        if self._errors[market] == MOST_ERRORS:
            return error
        if silent_s < STALLED_S:
            return None
        return (
            f"nothing was stored for {STALLED_S / 60:.0f} minutes, and it is not complete: see the runs of {NEW_HOURS} "
            "in Dagster. The sensor goes on requesting what is not stored"
        )

    def outcomes(self) -> list[Outcome]:
        """What became of each market."""
        return [
            _outcome(market, self._seconds[market.name], self._first, self._now, self._given_up.get(market.name))
            for market in self._markets
        ]

    def _stored(self) -> int:
        return sum(_stored_since(self._first[key], line) for key, line in self._now.items())


def _looked_at(markets: Sequence[Market]) -> dict[Key, Overview]:
    return {(line.market, line.key): line for line in overviews(markets, {})}


def _to_compute(line: Overview) -> int:
    return 0 if line.missing is None else line.missing.states.get(COMPUTABLE, 0)


def _is_done(line: Overview) -> bool:
    return line.error is None and _to_compute(line) == 0


def _stored_since(before: Overview, now: Overview) -> int:
    return max((now.hours or 0) - (before.hours or 0), 0)


def _outcome(
    market: Market,
    seconds: float,
    first: Mapping[Key, Overview],
    now: Mapping[Key, Overview],
    error: str | None,
) -> Outcome:
    """Has the fields that a summary shows, as run_fields names them."""
    feature_sets = []
    for each in market.feature_sets:
        before, line = first[market.name, each.key], now[market.name, each.key]
        missing = {} if line.missing is None else dict(line.missing.states)
        feature_sets.append(
            {
                "market": market.name,
                "feature_key": each.key,
                "nothing": None,
                "computed": _stored_since(before, line),
                "kept": before.hours or 0,
                "absent": missing.pop(str(SkipKind.ABSENT), 0),
                "skipped": missing,
            }
        )
    return Outcome(market.name, seconds, feature_sets, error)
