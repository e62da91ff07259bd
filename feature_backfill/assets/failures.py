"""Errors that the operator can mend, as failures of a step that show one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from feature_backfill.errors import UserError


@contextmanager
def user_errors_fail_the_step() -> Iterator[None]:
    """Turn a UserError of the block into a dagster.Failure with its message. It allows no retry: none could help."""
    try:
        yield
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
