"""Which of a plan's hours a sensor asks for now."""

from dataclasses import dataclass

import pandas as pd

from feature_backfill.planning.plan import Plan
from feature_backfill.planning.ranges import Range, ranges_of_sensor


@dataclass(frozen=True)
class Request:
    """What is asked for, and what is not yet.

    hours: asked for, ascending. ranges: the runs that they make. later: number of hours left to the next ticks.
    moving: hours that a run sees to. waiting: hours whose run failed a short time ago.
    """

    hours: pd.DatetimeIndex
    ranges: list[Range]
    later: int
    moving: pd.DatetimeIndex
    waiting: pd.DatetimeIndex


def request_hours(
    plan: Plan, stored: pd.DatetimeIndex, moving: pd.DatetimeIndex, waiting: pd.DatetimeIndex, at_most: int
) -> Request:
    """Ask for the oldest at_most hours that can be computed and are neither moving nor waiting."""
    free = plan.compute.difference(moving).difference(waiting)
    asked = free[:at_most]
    ranges = ranges_of_sensor(plan, asked, moving.union(waiting), stored)
    return Request(asked, ranges, len(free) - len(asked), moving, waiting)
