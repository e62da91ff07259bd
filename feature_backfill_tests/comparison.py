"""Where two frames of features depart from each other, in words, under the tolerances of the parity check."""

import pandas as pd

from feature_backfill.checks import oracle
from feature_backfill.checks.tolerances import departures


def mismatches(
    actual: pd.DataFrame, expected: pd.DataFrame, ohlcv: pd.DataFrame, base_hours: int = 720, buffer_hours: int = 0
) -> list[str]:
    """In words, where `actual` departs from `expected`; empty if nowhere.

    Both frames are hours (UTC-naive) x full feature names, float64. `ohlcv` holds the hourly rows they come from, with
    the columns timestamp, open, high, low, close, volume.
    """
    if list(actual.columns) != list(expected.columns):
        return [_difference("columns", list(actual.columns), list(expected.columns))]
    if list(actual.index) != list(expected.index):
        return [_difference("hours", list(actual.index), list(expected.index))]
    wrong_dtypes = [f"{name} is {dtype}, not float64" for name, dtype in actual.dtypes.items() if dtype != "float64"]
    if wrong_dtypes:
        return wrong_dtypes

    timeframes = list(dict.fromkeys(column.rsplit("_", 1)[1] for column in expected.columns))
    rows = oracle.hourly_rows(ohlcv)
    found = []
    for ts, actual_row, expected_row in zip(expected.index, actual.to_numpy(), expected.to_numpy(), strict=True):
        window = oracle.bars_of_hour(rows, ts.to_pydatetime(), base_hours, buffer_hours, timeframes)
        if isinstance(window, oracle.Skip):
            found.append(f"{ts}: has values, but {window.reason}")
            continue
        one, other = (dict(zip(expected.columns, row.tolist(), strict=True)) for row in (actual_row, expected_row))
        found += [f"{ts} {departure}" for departure in departures(one, other, window)]
    return found


def _difference(what: str, actual: list[object], expected: list[object]) -> str:
    missing = [str(item) for item in expected if item not in set(actual)]
    unexpected = [str(item) for item in actual if item not in set(expected)]
    if missing or unexpected:
        return f"{what}: missing {missing}, unexpected {unexpected}"
    return f"{what}: the same ones, in another order or number"
