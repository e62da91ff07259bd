"""Errors that are written for the operator: one line with what is wrong, where, and what to do; and exit codes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

DONE, BAD_ARGUMENTS, FAILED = 0, 2, 3
"""Exit codes of the command line."""


class _OneLineError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


class UserError(_OneLineError):
    """Bad arguments, configuration or data. The command line prints the message and exits with code 2."""


class RunError(_OneLineError):
    """A run that started and then failed. What it had stored by then stays stored. Exit code 3."""


class DatabaseTakenError(RunError):
    """Another process kept a DuckDB file open for longer than we wait for it."""


class DatabaseDamagedError(RunError):
    """DuckDB cannot read or write a file that it could open: damaged pages, or a disk with errors."""


def shortened(items: Sequence[str], most: int) -> str:
    """The first items of a list, and how many more there are: `a, b and 3 more`."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, thing: str) -> str:
    """A number of things: `1 hour`, `1,200 hours`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


class ErrorsNoted:
    """Errors for the operator: one must not keep the rest from being done."""

    def __init__(self) -> None:
        self._noted: list[UserError | RunError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """End the block at an error, and note it."""
        try:
            yield
        except (UserError, RunError) as error:
            self._noted.append(error)

    def raise_all(self) -> None:
        """Raise what was noted, as one error of the first's kind."""
        if self._noted:
            lines = list(dict.fromkeys(map(str, self._noted)))
            raise type(self._noted[0])("; ".join(lines)) from self._noted[0]
