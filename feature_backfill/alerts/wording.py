"""What a message says."""

from collections.abc import Sequence

import pandas as pd
from pydantic import BaseModel

from feature_backfill.alerts.changes import Finding, Kind, State

MOST_DETAILS = 500
"""Characters of the reason of a change."""

_WORDS = {
    Kind.CHECK: {
        State.BAD: "check {about} is red",
        State.WARNING: "check {about} warns",
        State.GOOD: "check {about} is green again",
    },
    Kind.RUN: {State.BAD: "{about} failed", State.GOOD: "{about} succeeds again"},
    Kind.ROW: {State.BAD: "no fresh row of {about}", State.GOOD: "rows of {about} are fresh again"},
    Kind.CONTRACT: {State.BAD: "{about} is refused", State.GOOD: "{about} is accepted again"},
    Kind.CONFIGURATION: {State.BAD: "{about} is broken", State.GOOD: "{about} can be used again"},
    Kind.RESTATED: {State.NEWS: "{about} was restated"},
}

_WORST_FIRST = (State.BAD, State.WARNING, State.NEWS, State.GOOD)


class Message(BaseModel):
    """What is sent. state: the worst of what it tells. at: when it was found, UTC-naive in ISO format."""

    title: str
    body: str
    state: State
    at: str


def message_of(market: str, changed: Sequence[Finding], now: pd.Timestamp) -> Message:
    """One message about everything that changed in a market (at least one thing) between two looks.

    now: UTC-naive.
    """
    heads = [_head(finding) for finding in changed]
    title = heads[0] if len(heads) == 1 else f"{len(heads)} changes"
    lines = [
        f"{head}: {finding.details[:MOST_DETAILS]}" if finding.details else head
        for head, finding in zip(heads, changed, strict=True)
    ]
    if len(heads) == 1:
        lines = [changed[0].details[:MOST_DETAILS] or heads[0]]
    worst = min((finding.state for finding in changed), key=_WORST_FIRST.index)
    body = "\n".join([*lines, f"({now:%Y-%m-%d %H:%M} UTC)"])
    return Message(title=f"{market}: {title}", body=body, state=worst, at=now.isoformat())


def _head(finding: Finding) -> str:
    return _WORDS[finding.kind][finding.state].format(about=finding.about)


def trial_message(market: str | None, now: pd.Timestamp) -> Message:
    """The message of `feature-backfill alert-test`."""
    of = f"{market}: " if market else ""
    body = f"This target receives the alerts of feature_backfill. ({now:%Y-%m-%d %H:%M} UTC)"
    return Message(title=f"{of}a test, nothing happened", body=body, state=State.NEWS, at=now.isoformat())
