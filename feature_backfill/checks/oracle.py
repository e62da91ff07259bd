"""The features of one target hour, written a second time: plain floats, one window at a time.

What belongs here are the formulas of docs/features.md as code, so that they can be read beside that page and used to
check the engine. This module shares no line with `feature_backfill.engine`, uses no numpy, and prefers the textbook's
loop to speed.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise

import pandas as pd

Row = tuple[float, ...]
"""open, high, low, close, volume of one hour, and its further columns."""

OF_HOURS: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda x: x[-1],
    "sum": lambda x: sum_left_to_right(x),
    "mean": lambda x: sum_left_to_right(x) / len(x),
    "max": lambda x: math.nan if any(map(math.isnan, x)) else max(x),
    "min": lambda x: math.nan if any(map(math.isnan, x)) else min(x),
}
"""What a bar makes of the hours of a further column, by rule."""

HOUR = timedelta(hours=1)
HOURS_PER_BAR = {"1H": 1, "2H": 2, "3H": 3, "4H": 4, "6H": 6, "8H": 8, "12H": 12, "1D": 24}
DEFAULT_TIMEFRAMES = ("1H", "4H", "12H", "1D")


# ---------------------------------------------------------------------------------------------------------------------
# Windows and bars


@dataclass(frozen=True)
class Skip:
    """Why a target hour has no features."""

    reason: str


@dataclass(frozen=True)
class Bars:
    """The kept bars of one timeframe, oldest first, and the series that several features share.

    `label` is the stamp of the newest bar. The oldest bar may lack its first hours; it is used as it is. `columns`
    holds further columns, by name.
    """

    label: datetime
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    columns: dict[str, list[float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.close)

    @cached_property
    def typical_price(self) -> list[float]:
        """TP_i = (H_i + L_i + C_i) / 3."""
        return [(h + low + c) / 3 for h, low, c in zip(self.high, self.low, self.close, strict=True)]

    @cached_property
    def dollar_volume(self) -> list[float]:
        """DV_i = C_i V_i."""
        return [c * v for c, v in zip(self.close, self.volume, strict=True)]

    @cached_property
    def change(self) -> list[float]:
        """C_i - C_{i-1}, i = 1..T."""
        return [c - before for before, c in pairwise(self.close)]

    @cached_property
    def log_return(self) -> list[float]:
        """LR: ln(C_i / C_{i-1}), i = 1..T."""
        return [ln(c / before) for before, c in pairwise(self.close)]

    @cached_property
    def simple_return(self) -> list[float]:
        """SR: C_i / C_{i-1} - 1, i = 1..T."""
        return [c / before - 1 for before, c in pairwise(self.close)]

    @cached_property
    def true_range(self) -> list[float]:
        """TR_i = max(H_i - L_i, |H_i - C_{i-1}|, |L_i - C_{i-1}|), i >= 1; TR_0 = H_0 - L_0."""
        later = [
            max(self.high[i] - self.low[i], abs(self.high[i] - self.close[i - 1]), abs(self.low[i] - self.close[i - 1]))
            for i in range(1, len(self))
        ]
        return [self.high[0] - self.low[0], *later]

    @cached_property
    def atr(self) -> float:
        """The plain (not Wilder's) mean of the last 14 true ranges."""
        return rolling_mean(self.true_range, 14)

    @cached_property
    def ema_12(self) -> list[float]:
        """EMA_12(C) as a series."""
        return ema(self.close, 12)

    @cached_property
    def macd(self) -> list[float]:
        """M_t = EMA_12(C)_t - EMA_26(C)_t from bar 0."""
        return [fast - slow for fast, slow in zip(self.ema_12, ema(self.close, 26), strict=True)]

    @cached_property
    def macd_signal(self) -> float:
        """EMA_9 of the whole MACD line, M_0 = 0 included."""
        return ema(self.macd, 9)[-1]

    @cached_property
    def bollinger(self) -> tuple[float, float, float]:
        """Upper, middle, lower: m + 2s, m, m - 2s with the mean and the sample sd of the last 20 closes."""
        middle, deviation = mean(self.close[-20:]), sd(self.close[-20:])
        return middle + 2 * deviation, middle, middle - 2 * deviation

    @cached_property
    def on_balance_volume(self) -> float:
        """sum_{i=1..T} sign(C_i - C_{i-1}) V_i."""
        return sum(v if d > 0 else -v if d < 0 else 0.0 for d, v in zip(self.change, self.volume[1:], strict=True))

    @cached_property
    def accumulation(self) -> list[float]:
        """A_t = sum_{i<=t} ((C_i - L_i) - (H_i - C_i)) / (H_i - L_i) V_i; a bar with H = L adds 0."""
        series, total = [], 0.0
        for h, low, c, v in zip(self.high, self.low, self.close, self.volume, strict=True):
            total += ratio((c - low) - (h - c), h - low, otherwise=0.0) * v
            series.append(total)
        return series

    @cached_property
    def vwap(self) -> float:
        """sum TP_i V_i / sum V_i over all bars."""
        traded = [price * v for price, v in zip(self.typical_price, self.volume, strict=True)]
        return ratio(numpy_sum(traded), numpy_sum(self.volume))

    @cached_property
    def rogers_satchell(self) -> list[float]:
        """S_i = ln(H/C) ln(H/O) + ln(L/C) ln(L/O) of the last 20 bars."""
        window = zip(self.open[-20:], self.high[-20:], self.low[-20:], self.close[-20:], strict=True)
        return [ln(h / c) * ln(h / o) + ln(low / c) * ln(low / o) for o, h, low, c in window]

    @cached_property
    def spectrum(self) -> list[float]:
        """A_k = |sum_j x_j exp(-2 pi i jk / 50)|, k = 0..25, x = the last 50 closes minus their mean."""
        closes = self.close[-50:]
        x = [c - mean(closes) for c in closes]
        if is_constant(x):
            return [abs(numpy_sum(x))] + [0.0] * 25
        turn = [2 * math.pi * j / 50 for j in range(50)]
        cosine, sine = [math.cos(angle) for angle in turn], [math.sin(angle) for angle in turn]
        return [
            math.hypot(
                sum(x[j] * cosine[j * k % 50] for j in range(50)),
                sum(x[j] * sine[j * k % 50] for j in range(50)),
            )
            for k in range(26)
        ]

    @cached_property
    def directional(self) -> tuple[list[float], list[float]]:
        """DI+ and DI- as series: 100 RMA(PDM) / RMA(TR), 100 RMA(MDM) / RMA(TR); PDM_0 = MDM_0 = 0."""
        plus, minus = [0.0], [0.0]
        for i in range(1, len(self)):
            up, down = self.high[i] - self.high[i - 1], self.low[i - 1] - self.low[i]
            plus.append(up if up > down and up > 0 else 0.0)
            minus.append(down if down > up and down > 0 else 0.0)
        smoothed_range = rma(self.true_range)
        return (
            [100 * ratio(dm, tr) for dm, tr in zip(rma(plus), smoothed_range, strict=True)],
            [100 * ratio(dm, tr) for dm, tr in zip(rma(minus), smoothed_range, strict=True)],
        )


def hourly_rows(ohlcv: pd.DataFrame, columns: Sequence[str] = ()) -> dict[datetime, Row]:
    """The frame's rows by their stamp (UTC-naive); stamps whose rows disagree get a row of NaN, which is bad data.

    `ohlcv` has the columns timestamp (naive UTC or tz-aware), open, high, low, close, volume, and further `columns`.
    """
    stamps = pd.DatetimeIndex(pd.to_datetime(ohlcv["timestamp"], utc=True)).tz_localize(None).to_pydatetime()
    names = ["open", "high", "low", "close", "volume", *columns]
    values = ohlcv[names].astype(float).itertuples(index=False, name=None)
    rows: dict[datetime, Row] = {}
    for stamp, row in zip(stamps, values, strict=True):
        rows[stamp] = row if repr(rows.get(stamp, row)) == repr(row) else (math.nan,) * len(names)
    return rows


def is_sound(row: Row) -> bool:
    """Finite positive prices with low <= open, close <= high, and a finite volume that is not negative."""
    o, h, low, c, v = row[:5]
    return all(map(math.isfinite, row[:5])) and 0 < low <= min(o, c) and max(o, c) <= h and v >= 0


def bars_of_hour(
    rows: Mapping[datetime, Row],
    ts: datetime,
    base_hours: int = 720,
    buffer_hours: int = 0,
    timeframes: Sequence[str] = DEFAULT_TIMEFRAMES,
    columns: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, Bars] | Skip:
    """The kept bars of each timeframe for the target hour `ts`, or why there are none.

    `columns` holds the rules of the further columns of `rows`, in their order: what a bar makes of its hours (see
    OF_HOURS), and "skip" or "null" for hours without a finite value.
    """
    rules = columns or {}
    demanded = [place for place, (_, if_bad) in enumerate(rules.values(), start=5) if if_bad == "skip"]
    need = base_hours + max(0, buffer_hours)
    if need < 1:
        return Skip("the window has no hours")
    if ts != on_the_hour(ts):
        return Skip("the target is not on the hour")
    hours = [ts - k * HOUR for k in reversed(range(need))]
    for stamp in rows:
        if hours[0] <= stamp <= ts and stamp != on_the_hour(stamp):
            return Skip(f"bad row at {stamp}: not on the hour")
    for hour in hours:
        if hour not in rows:
            return Skip(f"no row at {hour}")
        if not is_sound(rows[hour]):
            return Skip(f"bad row at {hour}: {rows[hour]}")
        if not all(math.isfinite(rows[hour][place]) for place in demanded):
            return Skip(f"bad value in a further column at {hour}: {rows[hour]}")

    bars = {}
    for timeframe in timeframes:
        h = HOURS_PER_BAR[timeframe]
        bins: dict[datetime, list[Row]] = {}
        for hour in hours:
            bins.setdefault(hour + (-hour.hour % h) * HOUR, []).append(rows[hour])
        count = max(1, base_hours // h)
        labels = [label for label in bins if label <= ts][-count:]
        if len(labels) < count:
            return Skip(f"{len(labels)} of {count} bars of {timeframe}")
        bars[timeframe] = aggregate(labels[-1], [bins[label] for label in labels], rules)
    return bars


def on_the_hour(stamp: datetime) -> datetime:
    """`stamp` floored to the hour."""
    return stamp.replace(minute=0, second=0, microsecond=0)


def aggregate(label: datetime, bins: Sequence[Sequence[Row]], columns: Mapping[str, tuple[str, str]]) -> Bars:
    """One bar a bin: first open, highest high, lowest low, last close, summed volume; further columns by their rule."""
    return Bars(
        label=label,
        open=[rows[0][0] for rows in bins],
        high=[max(row[1] for row in rows) for rows in bins],
        low=[min(row[2] for row in rows) for rows in bins],
        close=[rows[-1][3] for rows in bins],
        volume=[sum(row[4] for row in rows) for rows in bins],
        columns={
            name: [OF_HOURS[bar]([finite_or_nan(row[place]) for row in rows]) for rows in bins]
            for place, (name, (bar, _)) in enumerate(columns.items(), start=5)
        },
    )


def finite_or_nan(x: float) -> float:
    """x, and NaN for an infinity."""
    return x if math.isfinite(x) else math.nan


def features_of_hour(
    rows: Mapping[datetime, Row],
    ts: datetime,
    base_hours: int = 720,
    buffer_hours: int = 0,
    timeframes: Sequence[str] = DEFAULT_TIMEFRAMES,
) -> dict[str, float] | Skip:
    """`<base name>_<timeframe>` -> value for the target hour `ts`, in emission order, or why there are none.

    `rows` maps UTC-naive hours to (open, high, low, close, volume). A timeframe not in `HOURS_PER_BAR` is a KeyError.
    """
    bars = bars_of_hour(rows, ts, base_hours, buffer_hours, timeframes)
    return bars if isinstance(bars, Skip) else features_of_bars(bars)


def features_of_bars(bars: Mapping[str, Bars]) -> dict[str, float]:
    """`<base name>_<timeframe>` -> value for the bars of each timeframe, in emission order."""
    return {
        f"{name}_{timeframe}": formula(b) if len(b) >= min_bars else math.nan
        for timeframe, b in bars.items()
        for name, (min_bars, formula) in FEATURES.items()
    }


# ---------------------------------------------------------------------------------------------------------------------
# Sums, means, smoothing


def numpy_sum(x: Sequence[float]) -> float:
    """sum(x) in numpy's order of addition, which decides whether constant windows leave a residue."""
    m = len(x)
    if m < 8:
        return sum_left_to_right(x)
    if m <= 128:
        whole = m - m % 8
        r = [sum_left_to_right(x[k:whole:8]) for k in range(8)]
        eights = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
        return sum_left_to_right([eights, *x[whole:]])
    half = m // 2 - m // 2 % 8
    return numpy_sum(x[:half]) + numpy_sum(x[half:])


def sum_left_to_right(x: Iterable[float]) -> float:
    """Plain additions: from Python 3.12 on, the built-in sum compensates for rounding."""
    total = 0.0
    for item in x:
        total += item
    return total


def mean(x: Sequence[float]) -> float:
    """The arithmetic mean."""
    return numpy_sum(x) / len(x)


def variance(x: Sequence[float]) -> float:
    """sum (mean - x_i)^2 / (m - 1)."""
    centre = mean(x)
    return numpy_sum([square(centre - item) for item in x]) / (len(x) - 1)


def sd(x: Sequence[float]) -> float:
    """The sample standard deviation (divisor m - 1)."""
    return math.sqrt(variance(x))


def central_moment(x: Sequence[float], order: int) -> float:
    """The mean of (x_i - mean)^order (divisor m)."""
    centre = mean(x)
    return mean([math.prod([item - centre] * order) for item in x])


def rolling_sum(x: Sequence[float], w: int) -> float:
    """RS_w: the sum of the last w items, exact when they are all equal."""
    window = x[-w:]
    return w * window[0] if is_constant(window) else numpy_sum(window)


def rolling_mean(x: Sequence[float], w: int) -> float:
    """RM_w: the mean of the last w items, exact when they are all equal."""
    window = x[-w:]
    return window[0] if is_constant(window) else numpy_sum(window) / w


def is_constant(x: Sequence[float]) -> bool:
    """Whether all items are equal."""
    return all(item == x[0] for item in x)


def ema(x: Sequence[float], span: int) -> list[float]:
    """EMA_s: sum_j (1-a)^j x_{t-j} / sum_j (1-a)^j, a = 2/(s+1), at every t; constant stretches stay exact."""
    decay = 1 - 2 / (span + 1)
    series, weight = [x[0]], 1.0
    for item in x[1:]:
        weight *= decay
        y = series[-1]
        series.append(y if item == y else (weight * y + item) / (weight + 1))
        weight += 1
    return series


def rma(x: Sequence[float]) -> list[float]:
    """Wilder's: y_0 = x_0, y_t = 13/14 y_{t-1} + 1/14 x_t; NaN before the 14th item (leading NaNs are no items)."""
    a = 1 / 14
    w = 1 - a
    series, seen, y = [], 0, math.nan
    for item in x:
        if not math.isnan(item):
            y = item if seen == 0 or item == y else (w * y + a * item) / (w + a)
            seen += 1
        series.append(y if seen >= 14 else math.nan)
    return series


def percentile(x: Sequence[float], p: float) -> float:
    """q(x, p): linear interpolation at position g = (m-1)p of the sorted items, from the nearer neighbour."""
    ordered = sorted(x)
    g = (len(x) - 1) * p
    k = math.floor(g)
    t, d = g - k, ordered[k + 1] - ordered[k]
    return ordered[k] + d * t if t < 0.5 else ordered[k + 1] - d * (1 - t)


def ratio(numerator: float, denominator: float, otherwise: float = math.nan) -> float:
    """numerator / denominator, `otherwise` where the denominator is 0."""
    return otherwise if denominator == 0 else numerator / denominator


def square(x: float) -> float:
    """x x: unlike x**2, infinite where it overflows."""
    return x * x


def ln(x: float) -> float:
    """The natural logarithm; -infinity of 0, NaN of a negative number."""
    return -math.inf if x == 0 else math.nan if x < 0 else math.log(x)


def root(radicand: float) -> float:
    """The square root, NaN of a negative number."""
    return math.nan if radicand < 0 else math.sqrt(radicand)


# ---------------------------------------------------------------------------------------------------------------------
# Formulas that do not fit on a line of the table


def zscore(x: Sequence[float]) -> float:
    """(last - mean) / sd, the last item being in the window."""
    return ratio(x[-1] - mean(x), sd(x))


def percent_change(x: Sequence[float], lag: int) -> float:
    """(x_T - x_{T-lag}) / x_{T-lag} * 100."""
    return ratio(x[-1] - x[-1 - lag], x[-1 - lag]) * 100


def wma_20(b: Bars) -> float:
    """sum_{i=1..20} i C_{T-20+i} / 210."""
    return numpy_sum([i * c for i, c in enumerate(b.close[-20:], start=1)]) / 210


def rsi(b: Bars) -> float:
    """100 - 100 / (1 + G/D): RMA of gains and of losses, both seeded with 0 at bar 0; 100 if D = 0."""
    gain = rma([0.0, *(max(d, 0.0) for d in b.change)])[-1]
    loss = rma([0.0, *(max(-d, 0.0) for d in b.change)])[-1]
    return 100.0 if loss == 0 else 100 - 100 / (1 + gain / loss)


def stochastic_k(b: Bars, back: int = 0) -> float:
    """K = 100 (C_t - ll) / (hh - ll) of the 14 bars that end at t = T - back; 50 if hh = ll."""
    end = len(b) - back
    highest, lowest = max(b.high[end - 14 : end]), min(b.low[end - 14 : end])
    return 50.0 if highest == lowest else 100 * (b.close[end - 1] - lowest) / (highest - lowest)


def williams_r(b: Bars) -> float:
    """-100 (hh - c) / (hh - ll) of 14 bars; -50 if hh = ll."""
    highest, lowest = max(b.high[-14:]), min(b.low[-14:])
    return -50.0 if highest == lowest else -100 * (highest - b.close[-1]) / (highest - lowest)


def cci_20(b: Bars) -> float:
    """(TP_T - RM_20(TP)) / (0.015 MD), MD = the mean absolute deviation from the mean of the last 20 TP."""
    window = b.typical_price[-20:]
    centre = mean(window)
    deviation = mean([abs(price - centre) for price in window])
    return ratio(window[-1] - rolling_mean(window, 20), 0.015 * deviation)


def ultimate_oscillator(b: Bars) -> float:
    """100/7 (4 A_7 + 2 A_14 + A_28), A_p = RS_p(BP) / RS_p(TRU): C - min(L, C_{i-1}) over the true range, i >= 1."""
    pressure, true_range = [], []
    for i in range(1, len(b)):
        floor, ceiling = min(b.low[i], b.close[i - 1]), max(b.high[i], b.close[i - 1])
        pressure.append(b.close[i] - floor)
        true_range.append(ceiling - floor)
    a_7, a_14, a_28 = (ratio(rolling_sum(pressure, p), rolling_sum(true_range, p)) for p in (7, 14, 28))
    return 100 / 7 * (4 * a_7 + 2 * a_14 + a_28)


def money_flow_index(b: Bars) -> float:
    """100 - 100 / (1 + P/N): money flow TP V of the last 14 bars at a risen and at a fallen TP; 100 if N = 0."""
    positive = negative = 0.0
    for i in range(len(b) - 14, len(b)):
        flow = b.typical_price[i] * b.volume[i]
        if b.typical_price[i] > b.typical_price[i - 1]:
            positive += flow
        elif b.typical_price[i] < b.typical_price[i - 1]:
            negative += flow
    return 100.0 if negative == 0 else 100 - 100 / (1 + positive / negative)


def parkinson_20(b: Bars) -> float:
    """sqrt(mean of ln(H/L)^2 over 20 bars / (4 ln 2))."""
    squares = [square(ln(h / low)) for h, low in zip(b.high[-20:], b.low[-20:], strict=True)]
    return math.sqrt(mean(squares) / (4 * math.log(2)))


def garman_klass_20(b: Bars) -> float:
    """sqrt(mean over 20 bars of 0.5 ln(H/L)^2 - (2 ln 2 - 1) ln(C/O)^2)."""
    window = zip(b.open[-20:], b.high[-20:], b.low[-20:], b.close[-20:], strict=True)
    terms = [0.5 * square(ln(h / low)) - (2 * math.log(2) - 1) * square(ln(c / o)) for o, h, low, c in window]
    return root(mean(terms))


def yang_zhang_20(b: Bars) -> float:
    """sqrt(var(ln(O_i/C_{i-1})) + k var(ln(C_i/O_i)) + (1-k) mean(S_i)), 20 bars, k = 0.34 / (1.34 + 21/19)."""
    overnight = [ln(o / before) for o, before in zip(b.open[-20:], b.close[-21:-1], strict=True)]
    intraday = [ln(c / o) for c, o in zip(b.close[-20:], b.open[-20:], strict=True)]
    k = 0.34 / (1.34 + 21 / 19)
    return root(variance(overnight) + k * variance(intraday) + (1 - k) * mean(b.rogers_satchell))


def log_ratio_vwap(b: Bars) -> float:
    """ln(c / vwap); NaN if the ratio is 0, as it is where the turnover overflows."""
    over = ratio(b.close[-1], b.vwap)
    return ln(over) if over > 0 else math.nan


def chaikin_3_10(b: Bars) -> float:
    """EMA_3(A) - EMA_10(A) of the accumulation series."""
    return ema(b.accumulation, 3)[-1] - ema(b.accumulation, 10)[-1]


def skewness_30(b: Bars) -> float:
    """m3 / m2^1.5 of the last 30 simple returns; NaN if m2 <= (1e-15 mean)^2."""
    x = b.simple_return[-30:]
    m2 = central_moment(x, 2)
    return math.nan if m2 <= square(1e-15 * mean(x)) else central_moment(x, 3) / (m2 * math.sqrt(m2))


def kurtosis_30(b: Bars) -> float:
    """m4 / m2^2 - 3 of the last 30 simple returns; NaN as for the skewness."""
    x = b.simple_return[-30:]
    m2 = central_moment(x, 2)
    return math.nan if m2 <= square(1e-15 * mean(x)) else central_moment(x, 4) / square(m2) - 3


def autocorrelation_30(b: Bars) -> float:
    """Pearson's correlation of x_1..x_30 with x_0..x_29, x = the last 31 simple returns."""
    x = b.simple_return[-31:]
    earlier, later = x[:-1], x[1:]
    y = [item - mean(earlier) for item in earlier]
    z = [item - mean(later) for item in later]
    product = numpy_sum([u * v for u, v in zip(y, z, strict=True)])
    lengths = [math.sqrt(numpy_sum([square(item) for item in side])) for side in (z, y)]
    correlation = ratio(ratio(product, lengths[0]), lengths[1])
    return correlation if math.isnan(correlation) else min(1.0, max(-1.0, correlation))


def hurst_100(b: Bars) -> float:
    """The slope of ln(R/S) over the logs of the lags 2..19; NaN if S = 0.

    R = the range of the running sum of x_i - mean, S = the population sd, x = the last 100 log returns. Both are those
    of the whole sample at every lag, so the slope is 0 but for the rounding of the fit.
    """
    x = b.log_return[-100:]
    deviations = [item - mean(x) for item in x]
    running = list(accumulate(deviations))
    rescaled_range = ratio(max(running) - min(running), math.sqrt(mean([square(item) for item in deviations])))
    return slope_of_equals(math.log(rescaled_range)) if 0 < rescaled_range < math.inf else math.nan


def slope_of_equals(y: float) -> float:
    """numpy.polyfit(ln 2 .. ln 19, 18 times y, 1)[0] as rounded by numpy's OpenBLAS on an x86-64 CPU with AVX2.

    The columns ln lag and 1, each of length 1, are brought to a triangle R by two Householder reflections, and y with
    them; the singular value decomposition of R (here from LAPACK's dlasv2) then gives the slope.
    """
    logs = [math.log(lag) for lag in range(2, 20)]
    length = math.sqrt(sum_left_to_right(item * item for item in logs))
    first = householder([item / length for item in logs])
    _, *below = reflect(*first, [1 / math.sqrt(18)] * 18)
    upper, *values = reflect(*first, [y] * 18)
    lower, *_ = reflect(*householder(below), values)
    larger = fma(0.9900835677699046, upper, 0.1404796384961775 * lower) * (1 / 1.4001896094229407)
    smaller = fma(0.9900835677699046, lower, -0.1404796384961775 * upper) * (1 / 0.19866820999856372)
    return fma(-0.7071067811865475, larger, 0.7071067811865477 * smaller) / length


def householder(x: Sequence[float]) -> tuple[list[float], float]:
    """v and tau for which x - tau (v . x) v is 0 but for its first item."""
    norm = -math.copysign(math.hypot(x[0], math.hypot(*x[1:])), x[0])
    return [1.0, *(item * (1 / (x[0] - norm)) for item in x[1:])], (norm - x[0]) / norm


def reflect(v: Sequence[float], tau: float, x: Sequence[float]) -> list[float]:
    """x - tau (v . x) v for 17 or 18 items: 16 of them in four lanes, fused, and the rest one by one."""
    lanes = [sum_left_to_right(v[i] * x[i] for i in range(lane, 16, 4)) for lane in range(4)]
    dot = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
    dot = fma(v[16], x[16], dot) if len(x) == 17 else dot + fma(v[16], x[16], v[17] * x[17])
    factor = -tau * dot
    fused = [fma(factor, v[i], x[i]) for i in range(16)]
    return fused + [x[i] + factor * v[i] for i in range(16, len(x))]


def fma(a: float, b: float, c: float) -> float:
    """a b + c, rounded once."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def histogram_edges_20(b: Bars) -> list[float]:
    """e_k = k step + lo, k = 0..9, and e_10 = hi: ten bins over the range of the last 20 closes."""
    lo, hi = min(b.close[-20:]), max(b.close[-20:])
    if lo == hi:
        lo, hi = lo - 0.5, hi + 0.5
    step = (hi - lo) / 10
    return [*(k * step + lo for k in range(10)), hi]


def entropy_20(b: Bars) -> float:
    """-sum_k p_k ln(p_k + 1e-10) over the ten bins, closed on the left; NaN if edges coincide."""
    edges = histogram_edges_20(b)
    if any(after <= edge for edge, after in pairwise(edges)):
        return math.nan
    counts = Counter(max(k for k in range(10) if c >= edges[k]) for c in b.close[-20:])
    return -numpy_sum([counts[k] / 20 * math.log(counts[k] / 20 + 1e-10) for k in range(10)])


def in_range(price: float, lowest: float, highest: float, otherwise: float) -> float:
    """(price - lowest) / (highest - lowest), `otherwise` if the range is empty."""
    return ratio(price - lowest, highest - lowest, otherwise)


def dominant_cycle(b: Bars) -> int:
    """k*: the k in 1..24 with the largest amplitude, the lowest on ties."""
    return max(range(1, 25), key=b.spectrum.__getitem__)


def cycle_strength(b: Bars) -> float:
    """A_{k*} / sum_{k=1..24} A_k."""
    return ratio(b.spectrum[dominant_cycle(b)], numpy_sum(b.spectrum[1:25]))


def spectral_entropy(b: Bars) -> float:
    """-sum p ln(p + 1e-12) / ln 26, p = P / sum P, P_k = A_k^2, k = 0..25."""
    power = [square(amplitude) for amplitude in b.spectrum]
    total = numpy_sum(power)
    if total == 0:
        return math.nan
    return -numpy_sum([p / total * math.log(p / total + 1e-12) for p in power]) / math.log(26)


def adx(b: Bars) -> float:
    """RMA of DX_t = 100 |DI+ - DI-| / (DI+ + DI-), seeded with the first valid DX."""
    return rma([100 * ratio(abs(up - down), up + down) for up, down in zip(*b.directional, strict=True)])[-1]


def aroon_up(b: Bars) -> float:
    """100 (i+1)/14, i = position of the oldest maximum of the last 14 highs (0 = oldest)."""
    return 100 * (b.high[-14:].index(max(b.high[-14:])) + 1) / 14


def aroon_down(b: Bars) -> float:
    """100 (j+1)/14, j = position of the oldest minimum of the last 14 lows (0 = oldest)."""
    return 100 * (b.low[-14:].index(min(b.low[-14:])) + 1) / 14


def change_covariance_20(b: Bars) -> float:
    """Sample covariance (divisor 18) of d_2..d_20 with d_1..d_19, d = the last 20 close differences."""
    d = b.change[-20:]
    earlier, later = d[:-1], d[1:]
    products = [(x - mean(earlier)) * (y - mean(later)) for x, y in zip(earlier, later, strict=True)]
    return numpy_sum(products) / 18


def roll_spread_20(b: Bars) -> float:
    """2 sqrt(-cov); NaN if cov >= 0."""
    covariance = change_covariance_20(b)
    return math.nan if covariance >= 0 else 2 * math.sqrt(-covariance)


def amihud_20(b: Bars) -> float:
    """The mean of |ln(C_i/C_{i-1})| / DV_i over those of the last 20 bars that have DV_i != 0."""
    window = zip(b.log_return[-20:], b.dollar_volume[-20:], strict=True)
    terms = [abs(change) / traded for change, traded in window if traded != 0]
    return mean(terms) if terms else math.nan


def ljung_p_100(b: Bars) -> float:
    """Upper tail of chi-square(5) at Q = N(N+2) sum_k rho_k^2/(N-k), N = 100 log returns, k = 1..5.

    rho_k = sum_{i=k..N-1-k} a_i^2 / sum a_i^2 with a = x - mean: squares of the middle part, not lagged products.
    """
    x = b.log_return[-100:]
    squares = [square(item - mean(x)) for item in x]
    total, count = numpy_sum(squares), len(x)
    if total == 0:
        return math.nan
    rho = {k: numpy_sum(squares[k : count - k]) / total for k in range(1, 6)}
    q = count * (count + 2) * sum(rho[k] ** 2 / (count - k) for k in rho)
    return math.erfc(math.sqrt(q / 2)) + math.sqrt(2 * q / math.pi) * math.exp(-q / 2) * (1 + q / 3)


def permutation_entropy_3_50(b: Bars) -> float:
    """-sum p ln(p + 1e-12) / ln(m) over the m ordinal patterns that occur in the triples of the last 50 closes.

    Equal closes count as rising. A single pattern gives (-1e-12)/0 = -infinity.
    """
    closes = b.close[-50:]
    triples = [closes[i : i + 3] for i in range(48)]
    counts = Counter(tuple(sorted(range(3), key=triple.__getitem__)) for triple in triples)
    if len(counts) == 1:
        return -math.inf
    return -sum(k / 48 * math.log(k / 48 + 1e-12) for k in counts.values()) / math.log(len(counts))


def ou_terms_100(b: Bars) -> tuple[list[float], list[float]]:
    """x_i (p_{i+1} - p_i) and x_i^2, i = 0..99, p = the last 101 closes, x_i = p_i - mean(p_0..p_99)."""
    p = b.close[-101:]
    x = [item - mean(p[:-1]) for item in p[:-1]]
    return [x[i] * (p[i + 1] - p[i]) for i in range(100)], [square(item) for item in x]


def ou_halflife_100(b: Bars) -> float:
    """-ln 2 / beta, beta = sum x_i (p_{i+1} - p_i) / sum x_i^2; NaN if the denominator is 0 or beta >= 0."""
    products, squares = ou_terms_100(b)
    beta = ratio(numpy_sum(products), numpy_sum(squares))
    return -math.log(2) / beta if beta < 0 else math.nan


def expected_shortfall_50(b: Bars) -> float:
    """The mean of those of the last 50 log returns that are <= their 5 % percentile; NaN if infinities leave none."""
    x = b.log_return[-50:]
    threshold = percentile(x, 0.05)
    beyond = [item for item in x if item <= threshold]
    return mean(beyond) if beyond else math.nan


def circle(b: Bars, part: str, wave: Callable[[float], float]) -> float:
    """sin or cos of the label's hour, day of the week or month as an angle."""
    numerator, period = {"hour": (b.label.hour, 24), "dow": (b.label.weekday(), 7), "month": (b.label.month, 12)}[part]
    return wave(2 * math.pi * numerator / period)


# ---------------------------------------------------------------------------------------------------------------------
# The table: base name -> minimum of bars (NaN below it), formula; in emission order

FEATURES: dict[str, tuple[int, Callable[[Bars], float]]] = {
    "close_open_diff_current": (1, lambda b: b.close[-1] - b.open[-1]),
    "high_low_range_current": (1, lambda b: b.high[-1] - b.low[-1]),
    "close_change_current": (2, lambda b: b.change[-1]),
    "log_close": (1, lambda b: math.log(b.close[-1])),
    "close_pct_change_current": (2, lambda b: percent_change(b.close, 1)),
    "close_cum_return_5": (6, lambda b: numpy_sum(b.log_return[-5:])),
    "close_cum_return_10": (11, lambda b: numpy_sum(b.log_return[-10:])),
    "close_cum_return_20": (21, lambda b: numpy_sum(b.log_return[-20:])),
    "close_zscore_20": (20, lambda b: zscore(b.close[-20:])),
    "close_sma_20": (20, lambda b: rolling_mean(b.close, 20)),
    "close_ema_12": (12, lambda b: b.ema_12[-1]),
    "close_wma_20": (20, wma_20),
    "close_ma_cross_diff_5_20": (20, lambda b: rolling_mean(b.close, 5) - rolling_mean(b.close, 20)),
    "close_ma_cross_ratio_5_20": (20, lambda b: rolling_mean(b.close, 5) / rolling_mean(b.close, 20)),
    "close_ma_cross_signal_5_20": (20, lambda b: float(rolling_mean(b.close, 5) > rolling_mean(b.close, 20))),
    "close_over_ema_12": (12, lambda b: b.close[-1] / b.ema_12[-1]),
    "close_log_ratio_ema_12": (12, lambda b: ln(b.close[-1] / b.ema_12[-1])),
    "close_dist_ema12_atr": (15, lambda b: ratio(b.close[-1] - b.ema_12[-1], b.atr)),
    "close_ma_distance_sma20": (20, lambda b: b.close[-1] - rolling_mean(b.close, 20)),
    "close_ma_distance_pct_sma20": (
        20,
        lambda b: (b.close[-1] - rolling_mean(b.close, 20)) / rolling_mean(b.close, 20) * 100,
    ),
    "close_macd_line_12_26": (26, lambda b: b.macd[-1]),
    "close_macd_signal_9": (26, lambda b: b.macd_signal),
    "close_macd_histogram_12_26_9": (26, lambda b: b.macd[-1] - b.macd_signal),
    "close_macd_line_12_26_over_close": (26, lambda b: b.macd[-1] / b.close[-1]),
    "close_macd_histogram_12_26_9_over_close": (26, lambda b: (b.macd[-1] - b.macd_signal) / b.close[-1]),
    "close_macd_line_12_26_over_atr14": (26, lambda b: ratio(b.macd[-1], b.atr)),
    "close_macd_histogram_12_26_9_over_atr14": (26, lambda b: ratio(b.macd[-1] - b.macd_signal, b.atr)),
    "volume_sma_20": (20, lambda b: rolling_mean(b.volume, 20)),
    "close_rsi_14": (15, rsi),
    "close_stoch_k_14": (14, stochastic_k),
    "close_stoch_d_14_3": (16, lambda b: (stochastic_k(b) + stochastic_k(b, back=1) + stochastic_k(b, back=2)) / 3),
    "close_cci_20": (20, cci_20),
    "close_roc_10": (11, lambda b: percent_change(b.close, 10)),
    "close_williams_r_14": (14, williams_r),
    "close_uo_7_14_28": (29, ultimate_oscillator),
    "close_mfi_14": (15, money_flow_index),
    "close_hv_20": (21, lambda b: sd(b.log_return[-20:]) * math.sqrt(365)),
    "close_atr_14": (15, lambda b: b.atr),
    "close_bb_upper_20_2": (20, lambda b: b.bollinger[0]),
    "close_bb_middle_20": (20, lambda b: b.bollinger[1]),
    "close_bb_lower_20_2": (20, lambda b: b.bollinger[2]),
    "close_bb_width_20_2": (20, lambda b: b.bollinger[0] - b.bollinger[2]),
    "close_bb_percent_20_2": (20, lambda b: in_range(b.close[-1], b.bollinger[2], b.bollinger[0], otherwise=0.5)),
    "close_bb_width_pct_20_2": (20, lambda b: (b.bollinger[0] - b.bollinger[2]) / b.bollinger[1]),
    "close_vol_ratio_5_50": (51, lambda b: ratio(sd(b.log_return[-5:]), sd(b.log_return[-50:]))),
    "close_parkinson_20": (20, parkinson_20),
    "close_gk_20": (20, garman_klass_20),
    "close_obv": (2, lambda b: b.on_balance_volume),
    "close_obv_over_dollar_vol_20": (20, lambda b: ratio(b.on_balance_volume, numpy_sum(b.dollar_volume[-20:]))),
    "close_vwap": (1, lambda b: b.vwap),
    "close_over_vwap": (1, lambda b: ratio(b.close[-1], b.vwap)),
    "close_log_ratio_vwap": (1, log_ratio_vwap),
    "close_adl": (1, lambda b: b.accumulation[-1]),
    "close_adl_over_dollar_vol_20": (20, lambda b: ratio(b.accumulation[-1], numpy_sum(b.dollar_volume[-20:]))),
    "close_chaikin_3_10": (10, chaikin_3_10),
    "volume_roc_10": (11, lambda b: percent_change(b.volume, 10)),
    "close_percentile_25_20": (20, lambda b: percentile(b.close[-20:], 0.25)),
    "close_percentile_50_20": (20, lambda b: percentile(b.close[-20:], 0.50)),
    "close_percentile_75_20": (20, lambda b: percentile(b.close[-20:], 0.75)),
    "close_skew_30": (31, skewness_30),
    "close_kurt_30": (31, kurtosis_30),
    "close_autocorr_1_30": (32, autocorrelation_30),
    "close_hurst_100": (100, hurst_100),
    "close_entropy_20": (20, entropy_20),
    "close_volume_ratio": (1, lambda b: ratio(b.close[-1], b.volume[-1])),
    "high_volume_ratio": (1, lambda b: ratio(b.high[-1], b.volume[-1])),
    "close_candle_body_ratio": (1, lambda b: ratio(abs(b.close[-1] - b.open[-1]), b.high[-1] - b.low[-1])),
    "close_candle_upper_shadow_ratio": (
        1,
        lambda b: ratio(b.high[-1] - max(b.open[-1], b.close[-1]), b.high[-1] - b.low[-1]),
    ),
    "close_candle_lower_shadow_ratio": (
        1,
        lambda b: ratio(min(b.open[-1], b.close[-1]) - b.low[-1], b.high[-1] - b.low[-1]),
    ),
    "close_typical_price": (1, lambda b: b.typical_price[-1]),
    "close_ohlc_average": (1, lambda b: (b.open[-1] + b.high[-1] + b.low[-1] + b.close[-1]) / 4),
    "close_vol_adj_return_atr14": (15, lambda b: ratio(b.log_return[-1], math.sqrt(b.atr))),
    "time_hour_of_day": (1, lambda b: float(b.label.hour)),
    "time_day_of_week": (1, lambda b: float(b.label.weekday())),
    "time_day_of_month": (1, lambda b: float(b.label.day)),
    "time_month_of_year": (1, lambda b: float(b.label.month)),
    "time_hour_sin": (1, lambda b: circle(b, "hour", math.sin)),
    "time_hour_cos": (1, lambda b: circle(b, "hour", math.cos)),
    "time_dow_sin": (1, lambda b: circle(b, "dow", math.sin)),
    "time_dow_cos": (1, lambda b: circle(b, "dow", math.cos)),
    "time_month_sin": (1, lambda b: circle(b, "month", math.sin)),
    "time_month_cos": (1, lambda b: circle(b, "month", math.cos)),
    "close_rolling_min_20": (20, lambda b: min(b.close[-20:])),
    "close_rolling_max_20": (20, lambda b: max(b.close[-20:])),
    "close_position_in_range_20": (
        20,
        lambda b: in_range(b.close[-1], min(b.close[-20:]), max(b.close[-20:]), otherwise=0.5),
    ),
    "close_dominant_cycle_length_50": (50, lambda b: 50 / dominant_cycle(b)),
    "close_cycle_strength_50": (50, cycle_strength),
    "close_adx_14": (27, adx),
    "close_di_plus_14": (15, lambda b: b.directional[0][-1]),
    "close_di_minus_14": (15, lambda b: b.directional[1][-1]),
    "close_rs_20": (20, lambda b: root(mean(b.rogers_satchell))),
    "close_yz_20": (21, yang_zhang_20),
    "volume_rvol_20": (20, lambda b: ratio(b.volume[-1], mean(b.volume[-20:]))),
    "close_donchian_pos_20": (
        20,
        lambda b: in_range(b.close[-1], min(b.low[-20:]), max(b.high[-20:]), otherwise=0.5),
    ),
    "close_donchian_upper_dist_20": (
        20,
        lambda b: ratio(max(b.high[-20:]) - b.close[-1], max(b.high[-20:]) - min(b.low[-20:]), otherwise=0.0),
    ),
    "close_donchian_lower_dist_20": (
        20,
        lambda b: in_range(b.close[-1], min(b.low[-20:]), max(b.high[-20:]), otherwise=0.0),
    ),
    "close_aroon_up_14": (14, aroon_up),
    "close_aroon_down_14": (14, aroon_down),
    "close_aroon_osc_14": (14, lambda b: aroon_up(b) - aroon_down(b)),
    "close_ret_zscore_20": (21, lambda b: zscore(b.log_return[-20:])),
    "close_dist_sma20_atr": (20, lambda b: ratio(b.close[-1] - rolling_mean(b.close, 20), b.atr)),
    "close_roll_spread_20": (21, roll_spread_20),
    "close_amihud_20": (21, amihud_20),
    "turnover_z_20": (20, lambda b: zscore(b.dollar_volume[-20:])),
    "close_ljung_p_5_100": (101, ljung_p_100),
    "close_perm_entropy_3_50": (50, permutation_entropy_3_50),
    "close_ou_halflife_100": (101, ou_halflife_100),
    "close_var_5_50": (51, lambda b: percentile(b.log_return[-50:], 0.05)),
    "close_cvar_5_50": (51, expected_shortfall_50),
    "close_spectral_entropy_50": (50, spectral_entropy),
}
