"""Errors written for the operator, as failures of a step that show one line."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from feature_backfill.dagster_internals.failures import step_failure
from feature_backfill.errors import RunError, UserError


@contextmanager
def user_errors_fail_the_step() -> Iterator[None]:
    """Turn a UserError or RunError of the block into a dagster.Failure with its message. It allows no retry."""
    try:
        yield
    except (UserError, RunError) as error:
        raise step_failure(error) from error


_FAILED, _AND = " failed: ", " | "


def joined_reasons(wrong: Mapping[str, str]) -> str:
    """What went wrong with several things, by name, in one line; a reason that several have in common is said once."""
    return f"{', '.join(wrong)}{_FAILED}{_AND.join(dict.fromkeys(wrong.values()))}"


def reasons_besides(joined: str, known: Collection[str]) -> str:
    """The reasons in a line of joined_reasons that are not known, in one line."""
    reasons = joined.partition(_FAILED)[2].split(_AND)
    return _AND.join(reason for reason in reasons if reason not in known)
