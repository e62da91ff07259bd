"""The other way: one code location that holds the markets and what the desk adds."""

import dagster as dg

from feature_backfill.dagster import build_definitions, load_markets
from my_desk.definitions import desk_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """The code location."""
    return dg.Definitions.merge(build_definitions(load_markets()), desk_definitions())
