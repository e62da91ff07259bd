"""Errors written for the operator, as failures of a step that show one line."""

from collections.abc import Iterator
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
