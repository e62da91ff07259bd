"""What a message says."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from pydantic import BaseModel

from feature_backfill.alerts.changes import Finding, Kind, State
from feature_backfill.errors import counted

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

_CHECKS = {State.BAD: "checks {about} are red", State.WARNING: "checks {about} warn"}
"""Several that stand so for one reason."""

_SEVERAL = ", "
_WORST_FIRST = (State.BAD, State.WARNING, State.GOOD, State.NEWS)


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
    told = sorted(_together(changed), key=lambda finding: _WORST_FIRST.index(finding.state))
    heads = [_head(finding) for finding in told]
    title = heads[0] if len(heads) == 1 else f"{heads[0]}, and {counted(len(heads) - 1, 'more change')}"
    lines = [
        f"{head}: {finding.details[:MOST_DETAILS]}" if finding.details else head
        for head, finding in zip(heads, told, strict=True)
    ]
    if len(heads) == 1:
        lines = [told[0].details[:MOST_DETAILS] or heads[0]]
    body = "\n".join([*lines, f"({now:%Y-%m-%d %H:%M} UTC)"])
    return Message(title=f"{market}: {title}", body=body, state=told[0].state, at=now.isoformat())


def _together(changed: Sequence[Finding]) -> list[Finding]:
    """The changes, those of OHLCV first, as they cause others; checks that stand alike for one reason are one."""
    alike: dict[tuple[Kind, State, str], list[Finding]] = {}
    for place, finding in enumerate(sorted(changed, key=lambda finding: "ohlcv" not in finding.about.lower())):
        one_cause = finding.kind is Kind.CHECK and finding.state in _CHECKS and finding.details
        alike.setdefault((finding.kind, finding.state, finding.details if one_cause else str(place)), []).append(
            finding
        )
    return [replace(some[0], about=_SEVERAL.join(finding.about for finding in some)) for some in alike.values()]


def _head(finding: Finding) -> str:
    several = finding.kind is Kind.CHECK and _SEVERAL in finding.about
    words = _CHECKS if several else _WORDS[finding.kind]
    return words[finding.state].format(about=finding.about)


def trial_message(market: str | None, now: pd.Timestamp) -> Message:
    """The message of `feature-backfill alert-test`."""
    of = f"{market}: " if market else ""
    body = f"This target receives the alerts of feature_backfill. ({now:%Y-%m-%d %H:%M} UTC)"
    return Message(title=f"{of}a test, nothing happened", body=body, state=State.NEWS, at=now.isoformat())
