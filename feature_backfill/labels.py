"""Labels to train on: what the price did after an hour."""

from numbers import Integral

import pandas as pd

from feature_backfill.engine.bars import PRICES, HourlyRows
from feature_backfill.errors import UserError
from feature_backfill.hours import hour_range


def forward_returns(ohlcv: pd.DataFrame, hours: int) -> pd.Series:
    """The simple return from each hour's close to the close `hours` hours later: close(ts + hours) / close(ts) - 1.

    Parameters
    ----------
    ohlcv : DataFrame
        Hourly rows with the columns timestamp, open, high, low, close, volume, in any order. `read_ohlcv` returns them.
    hours : int
        The horizon, at least 1.

    Returns
    -------
    Series
        float64, named "forward_return_<hours>h", indexed by every hour that has a row (UTC-naive, ascending, named
        "ts"), so that it joins with the frame of `read_features`. NaN in the last `hours` rows, and where any hour from
        ts to ts + hours, both included, has no row or a bad one: a return across a gap is not one that could have been
        earned, and the features of that time are missing too.

    Raises
    ------
    UserError
        If `hours` is no whole number above 0, or if the rows lack a column or a timestamp.

    Notes
    -----
    A label looks ahead, a feature looks back. The row of hour ts is known when its bar closes, at ts + 1 hour; its
    label is known `hours` hours after that. Labels of neighbouring rows overlap. When you split by time, leave out the
    last `hours` rows before the test set begins (purging), otherwise their labels contain prices of the test set, and
    the score is too good. Cross-validation needs the same gap on both sides of each test fold.

    The row of an hour that has not closed yet has a close that will still change; do not pass it.

    Examples
    --------
    >>> features = read_features("btc.duckdb", "prod")
    >>> label = forward_returns(read_ohlcv("btc.duckdb", "ohlcv_btcusdt_1h"), hours=24)
    >>> training = features.join(label).dropna(subset=[label.name])
    """
    if isinstance(hours, bool) or not isinstance(hours, Integral) or hours < 1:
        raise UserError(f"hours is {hours!r}; give a whole number of hours, at least 1")
    try:
        rows = HourlyRows.of(ohlcv)
    except ValueError as error:
        raise UserError(str(error)) from error
    close = pd.Series(rows.values[PRICES.index("close")], index=rows.stamps.rename("ts"), dtype="float64")
    name = f"forward_return_{hours}h"
    if close.empty:
        return close.rename(name)
    every = close.reindex(hour_range(close.index[0], close.index[-1]))
    whole = every.notna().rolling(hours + 1).sum().shift(-hours) == hours + 1
    returns = (every.shift(-hours) / every - 1).where(whole)
    return returns.reindex(close.index).rename(name)
