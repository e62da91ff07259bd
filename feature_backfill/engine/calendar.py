"""Calendar: UTC time and date of the newest bar's label, which for a 1D bar is always a midnight."""

import numpy as np

from feature_backfill.engine.bars import Floats, timestamps
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import Windows


@computes(
    Feature("time_hour_of_day", 1, "hour of the bar's label, 0..23"),
    Feature("time_day_of_week", 1, "weekday of the bar's label, Monday 0 .. Sunday 6"),
    Feature("time_day_of_month", 1, "day of the month of the bar's label, 1..31"),
    Feature("time_month_of_year", 1, "month of the bar's label, 1..12"),
    Feature("time_hour_sin", 1, "sine of the hour's angle on the day"),
    Feature("time_hour_cos", 1, "cosine of the hour's angle on the day"),
    Feature("time_dow_sin", 1, "sine of the weekday's angle on the week"),
    Feature("time_dow_cos", 1, "cosine of the weekday's angle on the week"),
    Feature("time_month_sin", 1, "sine of the month's angle on the year, January at 1/12"),
    Feature("time_month_cos", 1, "cosine of the month's angle on the year, January at 1/12"),
)
def calendar(w: Windows) -> tuple[Floats, ...]:
    """hour; weekday; day; month; sine and cosine of 2 pi hour / 24; of 2 pi weekday / 7; of 2 pi month / 12.

    They are those of the newest bar's label, not of the target hour.
    """
    label = timestamps(w.labels)
    hour, weekday, day, month = (
        np.asarray(part, dtype=np.float64) for part in (label.hour, label.day_of_week, label.day, label.month)
    )
    angles = [2 * np.pi * part / period for part, period in ((hour, 24), (weekday, 7), (month, 12))]
    return hour, weekday, day, month, *(wave(angle) for angle in angles for wave in (np.sin, np.cos))
