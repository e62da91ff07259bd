"""Errors written for the operator, as failures of a step that show one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from feature_backfill.errors import RunError, UserError


@contextmanager
def user_errors_fail_the_step() -> Iterator[None]:
    """Turn a UserError or RunError of the block into a dagster.Failure with its message. It allows no retry."""
    try:
        yield
    except (UserError, RunError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
