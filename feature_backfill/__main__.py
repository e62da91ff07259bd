"""The process `feature-backfill`. While its modules are imported, Ctrl-C ends it with one line: nothing has begun."""

import os
import signal
from types import FrameType
from typing import NoReturn

from feature_backfill.errors import FAILED


def script() -> NoReturn:
    """Run the command line. Once its command begins, an interrupt is a KeyboardInterrupt as usual."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as in a background job
        signal.signal(signal.SIGINT, _end)
    from feature_backfill import cli

    cli.script(begin=_interrupt_as_usual)


def _end(signal_number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"feature-backfill: interrupted before anything was done\n")
    os._exit(FAILED)


def _interrupt_as_usual() -> None:
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    script()
