"""Indicators that TA-Lib has too, in values a second.

Not a race on equal terms: TA-Lib computes one running series over all bars, while here each hour's value comes from its
own lookback of 720 bars.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import talib

from benchmarks.market import BASE_HOURS, ohlcv_and_targets
from benchmarks.measure import Figure, seconds
from feature_backfill.engine import channel, directional, momentum, price, trend, volatility, volume
from feature_backfill.engine.bars import COLUMNS, Bars, BarValues, Floats
from feature_backfill.engine.lookbacks import Lookbacks
from feature_backfill.engine.windows import OhlcvWindows

OfWindows = Callable[[OhlcvWindows], object]
OfLookbacks = Callable[[Lookbacks], object]
Series = dict[str, Floats]

OURS: dict[str, tuple[list[OfWindows], list[OfLookbacks]]] = {
    "SMA": ([lambda w: w.mean(w.close, 20)], []),
    "EMA": ([lambda w: w.ema_12], []),
    "WMA": ([trend.weighted_mean_20], []),
    "RSI": ([momentum.relative_strength_index], []),
    "STOCH": ([momentum.stochastic, momentum.stochastic_mean], []),
    "CCI": ([momentum.commodity_channel_index], []),
    "ROC": ([price.rate_of_change_10], []),
    "WILLR": ([lambda w: momentum.stochastic(w)[1]], []),
    "ULTOSC": ([momentum.ultimate_oscillator], []),
    "MFI": ([momentum.money_flow_index], []),
    "ATR": ([lambda w: w.atr_14], []),
    "BBANDS": ([lambda w: volatility.bollinger_bands(w)[1:4]], []),
    "MACD": ([lambda w: trend.macd(w)[:3]], []),
    "OBV": ([volume.on_balance_volume], []),
    "AD": ([], [volume.accumulation_distribution]),
    "ADOSC": ([volume.chaikin_oscillator], []),
    "ADX": ([], [directional.average_directional_index]),
    "AROON": ([lambda w: channel.aroon(w)[:2]], []),
}

THEIRS: dict[str, Callable[[Series], object]] = {
    "SMA": lambda s: talib.SMA(s["close"], 20),
    "EMA": lambda s: talib.EMA(s["close"], 12),
    "WMA": lambda s: talib.WMA(s["close"], 20),
    "RSI": lambda s: talib.RSI(s["close"], 14),
    "STOCH": lambda s: talib.STOCHF(s["high"], s["low"], s["close"], 14, 3),
    "CCI": lambda s: talib.CCI(s["high"], s["low"], s["close"], 20),
    "ROC": lambda s: talib.ROC(s["close"], 10),
    "WILLR": lambda s: talib.WILLR(s["high"], s["low"], s["close"], 14),
    "ULTOSC": lambda s: talib.ULTOSC(s["high"], s["low"], s["close"], 7, 14, 28),
    "MFI": lambda s: talib.MFI(s["high"], s["low"], s["close"], s["volume"], 14),
    "ATR": lambda s: talib.ATR(s["high"], s["low"], s["close"], 14),
    "BBANDS": lambda s: talib.BBANDS(s["close"], 20),
    "MACD": lambda s: talib.MACD(s["close"], 12, 26, 9),
    "OBV": lambda s: talib.OBV(s["close"], s["volume"]),
    "AD": lambda s: talib.AD(s["high"], s["low"], s["close"], s["volume"]),
    "ADOSC": lambda s: talib.ADOSC(s["high"], s["low"], s["close"], s["volume"], 3, 10),
    "ADX": lambda s: talib.ADX(s["high"], s["low"], s["close"], 14),
    "AROON": lambda s: talib.AROON(s["high"], s["low"], 14),
}
VALUES = {"STOCH": 2, "BBANDS": 3, "MACD": 3, "AROON": 2}
"""Series an indicator has, if not 1."""


def _ours(name: str, series: Series, hours: int) -> None:
    values = BarValues(*(series[column] for column in COLUMNS))
    windows = OhlcvWindows(Bars(1, 0, values), np.arange(hours), BASE_HOURS)
    oldest = values.each(lambda column: column[:hours])
    of_windows, of_lookbacks = OURS[name]
    with np.errstate(divide="ignore", invalid="ignore"):
        for function in of_windows:
            function(windows)
        for function_of_lookbacks in of_lookbacks:
            function_of_lookbacks(Lookbacks(windows, np.arange(hours), oldest))


def figures(hours: int) -> Iterator[Figure]:
    """Values a second of each indicator, and of all together."""
    ohlcv, _ = ohlcv_and_targets(hours)
    series = {column: ohlcv[column].to_numpy(np.float64) for column in COLUMNS}
    total, our_total, their_total = 0, 0.0, 0.0
    for name in OURS:
        values = hours * VALUES.get(name, 1)
        ours = seconds(partial(_ours, name, series, hours), 5)
        theirs = seconds(partial(THEIRS[name], series), 5)
        yield Figure(name, values / ours / 1e6, "million values/s", f"TA-Lib {values / theirs / 1e6:.1f}")
        total, our_total, their_total = total + values, our_total + ours, their_total + theirs
    yield Figure("all", total / our_total / 1e6, "million values/s", f"TA-Lib {total / their_total / 1e6:.1f}")
    yield Figure("all, times TA-Lib", their_total / our_total, "x")
