"""The bounds of what is read, as callers write them."""

import pandas as pd

from feature_backfill.errors import UserError
from feature_backfill.hours import to_utc

Bound = pd.Timestamp | str | None


def utc_bound(name: str, bound: Bound) -> pd.Timestamp | None:
    """The UTC-naive timestamp of a bound, None if there is none. Raises UserError if it is no timestamp."""
    try:
        return None if bound is None else to_utc([bound])[0]
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
