"""Errors that the operator can mend, as failures of a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from feature_backfill.errors import UserError


@contextmanager
def told_to_the_operator() -> Iterator[None]:
    """Turn a UserError into a dagster.Failure: its one line stands in the run, without a retry that could not help."""
    try:
        yield
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
