"""Asking again after what passes: an exchange that is busy or down, a time-out, a broken connection."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from feature_backfill.errors import RunError

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds between the attempts, unless the exchange names a longer pause."""

LONGEST_PAUSE_S = 120.0
"""If the exchange demands a longer pause, the call fails at once."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Passing:
    """A failure that may pass. reason: in words; retry_after: seconds that the server asks to wait for."""

    reason: str
    retry_after: float = 0.0


def patiently(what: str, call: Callable[[], Result], judge: Callable[[Exception], Passing]) -> Result:
    """The result of a call, which is made again after failures that may pass, with growing pauses.

    what: what is asked, for messages. judge: what a failure is; it raises the error to be shown if asking again is in
    vain.

    Raises RunError if the call still fails after the last pause, or the server asks for a pause that is too long.
    """
    for pause in (*PAUSES_S, None):
        try:
            return call()
        except Exception as error:
            failure = judge(error)
            if failure.retry_after > LONGEST_PAUSE_S:
                raise RunError(
                    f"{what}: {failure.reason}; the server asks to wait {failure.retry_after:.0f} s: ask again then, "
                    "and look whether other programs use this address too"
                ) from error
            if pause is None:
                raise RunError(
                    f"{what}: {failure.reason}, {len(PAUSES_S) + 1} times in a row; what was fetched stays. Try again "
                    "later, and look at the exchange's status page and this machine's network"
                ) from error
            _log.warning("%s: %s; asking again", what, failure.reason)
        time.sleep(max(pause, failure.retry_after))
    raise AssertionError("unreachable")


def seconds_to_wait(header: str | None) -> float:
    """The seconds of a Retry-After header; 0 if there is none, or it is a date, which no exchange is known to send."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0
