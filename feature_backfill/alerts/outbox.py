"""What is remembered from look to look: how things stand, and the messages that have not arrived yet."""

from collections.abc import Callable, Sequence

import pandas as pd
from pydantic import BaseModel

from feature_backfill.alerts.changes import Finding, State
from feature_backfill.alerts.wording import Message, message_of
from feature_backfill.config import AlertTarget

KEPT = pd.Timedelta(days=1)
"""For so long a message is tried again. Then it is dropped."""

MOST_WAITING = 100
"""Messages that wait for one target; beyond that, the oldest are dropped."""


class Waiting(BaseModel):
    """Messages for a target, oldest first; how often in a row it did not take one; when it is tried again (UTC)."""

    messages: list[Message] = []
    failures: int = 0
    due: str = ""


class Memory(BaseModel):
    """What one look leaves for the next.

    standing: the state of what is not good, by place. event: the newest event of Dagster's log that was looked at.
    until: of the newest run that was looked at, when it ended (UTC). runs: the ids of those that ended shortly before.
    waiting: by target.
    """

    standing: dict[str, State] = {}
    event: int | None = None
    until: str = ""
    runs: list[str] = []
    waiting: dict[str, Waiting] = {}

    def put(self, targets: Sequence[AlertTarget], changed: Sequence[Finding], now: pd.Timestamp) -> None:
        """Let each target wait for a message about each market that it wants and in which something changed."""
        self.waiting = {target.name: self.waiting.get(target.name, Waiting()) for target in targets}
        for market in dict.fromkeys(finding.market for finding in changed):
            message = message_of(market, [finding for finding in changed if finding.market == market], now)
            for target in targets:
                if target.wants(market):
                    self.waiting[target.name].messages.append(message)

    def drop_old(self, now: pd.Timestamp) -> list[str]:
        """Drop the messages that nobody waits for any more; returns a line for each target that lost some."""
        lines = []
        for name, waiting in self.waiting.items():
            kept = [message for message in waiting.messages if now - pd.Timestamp(message.at) <= KEPT][-MOST_WAITING:]
            if lost := len(waiting.messages) - len(kept):
                lines.append(f"{name}: {_messages(lost)} given up after {KEPT.days} day or as the oldest of too many")
            waiting.messages = kept
        return lines


def deliver(
    target: AlertTarget,
    waiting: Waiting,
    now: pd.Timestamp,
    send: Callable[[AlertTarget, Message], str | None],
    next_try: Callable[[int], pd.Timedelta],
    saved: Callable[[], None],
    in_time: Callable[[], bool],
) -> str:
    """Send what waits for a target, oldest first, until one does not arrive; returns what came of it, "" if nothing.

    next_try: how long to wait after so many failures in a row. saved: is called after each message, so that an end of
    the process at any moment repeats at most one. in_time: whether there is time for one more.
    """
    if not waiting.messages:
        return ""
    if waiting.due and now < pd.Timestamp(waiting.due) <= now + next_try(waiting.failures):
        return f"{target.name}: {_waits(waiting)}"
    sent = 0
    while waiting.messages and in_time():
        problem = send(target, waiting.messages[0])
        if problem is not None:
            waiting.failures += 1
            waiting.due = (now + next_try(waiting.failures)).isoformat(timespec="seconds")
            saved()
            return f"{target.name}: {f'{sent} sent, ' if sent else ''}{_waits(waiting)}: {problem}"
        waiting.messages, waiting.failures, waiting.due = waiting.messages[1:], 0, ""
        sent += 1
        saved()
    left = f", {_messages(len(waiting.messages))} left for the next look" if waiting.messages else ""
    return f"{target.name}: {sent} sent{left}"


def _waits(waiting: Waiting) -> str:
    return f"{_messages(len(waiting.messages))} to be tried again at {pd.Timestamp(waiting.due):%Y-%m-%d %H:%M} UTC"


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"
