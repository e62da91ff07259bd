"""Decides whether two computations of a feature agree: a tolerance for each feature, and exemptions from it.

An exemption excuses a value that is out of tolerance when rounding alone decides the feature in its window. It is
decided from the bars of that window. `close_perm_entropy_3_50` needs no exemption: it only compares closes with each
other, and a close is a stored price, not a computed sum.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from feature_backfill.checks import oracle
from feature_backfill.checks.oracle import Bars, ratio

RTOL = 1e-9
ABSOLUTE_ONLY = {
    "close_hurst_100",
    "time_hour_sin",
    "time_hour_cos",
    "time_dow_sin",
    "time_dow_cos",
    "time_month_sin",
    "time_month_cos",
}
"""Base names that have only an absolute tolerance."""

ATOL_GROUPS: list[tuple[Callable[[Bars], float], str]] = [
    (
        lambda b: 0.0,
        """close_open_diff_current high_low_range_current close_change_current close_sma_20 close_ema_12 close_wma_20
        volume_sma_20 close_atr_14 close_bb_upper_20_2 close_bb_middle_20 close_bb_lower_20_2 close_vwap
        close_percentile_25_20 close_percentile_50_20 close_percentile_75_20 close_volume_ratio high_volume_ratio
        close_typical_price close_ohlc_average close_rolling_min_20 close_rolling_max_20 close_amihud_20
        close_ma_cross_signal_5_20 close_entropy_20 close_dominant_cycle_length_50 close_perm_entropy_3_50
        close_roll_spread_20 close_ljung_p_5_100
        time_hour_of_day time_day_of_week time_day_of_month time_month_of_year""",
    ),
    (
        lambda b: 1e-15,
        "time_hour_sin time_hour_cos time_dow_sin time_dow_cos time_month_sin time_month_cos",
    ),
    (
        lambda b: 1e-13,
        """close_cum_return_5 close_cum_return_10 close_cum_return_20 close_log_ratio_ema_12 close_log_ratio_vwap
        close_vol_adj_return_atr14 close_var_5_50 close_cvar_5_50""",
    ),
    (
        lambda b: 1e-12,
        """log_close close_pct_change_current close_ma_cross_ratio_5_20 close_over_ema_12 close_rsi_14 close_stoch_k_14
        close_stoch_d_14_3 close_roc_10 close_williams_r_14 close_hv_20 close_vol_ratio_5_50 close_parkinson_20
        close_gk_20 close_over_vwap volume_roc_10 close_candle_body_ratio close_candle_upper_shadow_ratio
        close_candle_lower_shadow_ratio close_position_in_range_20 close_adx_14 close_di_plus_14 close_di_minus_14
        close_rs_20 close_yz_20 volume_rvol_20 close_donchian_pos_20 close_donchian_upper_dist_20
        close_donchian_lower_dist_20 close_aroon_up_14 close_aroon_down_14 close_aroon_osc_14 close_ou_halflife_100
        close_cycle_strength_50 close_spectral_entropy_50 close_hurst_100""",
    ),
    (
        lambda b: 1e-11,
        """close_macd_line_12_26_over_close close_macd_histogram_12_26_9_over_close close_bb_width_pct_20_2
        close_zscore_20 close_bb_percent_20_2 close_skew_30 close_kurt_30 close_autocorr_1_30 close_ret_zscore_20
        turnover_z_20""",
    ),
    (
        lambda b: 1e-9,
        "close_ma_distance_pct_sma20 close_cci_20 close_uo_7_14_28 close_mfi_14",
    ),
    (
        lambda b: 1e-11 * b.close[-1],
        """close_ma_cross_diff_5_20 close_ma_distance_sma20 close_macd_line_12_26 close_macd_signal_9
        close_macd_histogram_12_26_9 close_bb_width_20_2""",
    ),
    (
        lambda b: ratio(1e-11 * b.close[-1], b.atr, otherwise=0.0),
        """close_dist_ema12_atr close_macd_line_12_26_over_atr14 close_macd_histogram_12_26_9_over_atr14
        close_dist_sma20_atr""",
    ),
    (
        lambda b: 1e-12 * sum(b.volume),
        "close_obv close_adl close_chaikin_3_10",
    ),
    (
        lambda b: ratio(1e-12 * sum(b.volume), sum(b.dollar_volume[-20:]), otherwise=0.0),
        "close_obv_over_dollar_vol_20 close_adl_over_dollar_vol_20",
    ),
]

ATOL = {name: atol for atol, names in ATOL_GROUPS for name in names.split()}
"""By base name: the absolute tolerance as a function of the window's bars."""

DEFAULT_ATOL = 1e-12
"""Absolute tolerance of a feature that is not in ATOL: rounding of values around 1."""


@dataclass(frozen=True)
class Departure:
    """A value that differs from the expected one by more than rounding.

    name: of the feature, with its timeframe; allowed: the largest difference from `expected` that counts as rounding.
    """

    name: str
    actual: float
    expected: float
    allowed: float

    def __str__(self) -> str:
        return f"{self.name}: {self.actual!r} instead of {self.expected!r} (allowed: {self.allowed:.3g} off)"


def departures(
    actual: Mapping[str, float], expected: Mapping[str, float], window: Mapping[str, Bars]
) -> list[Departure]:
    """The values of one hour that depart from the expected values, in the order of `expected`.

    actual, expected: values by feature name; both have the same names.
    window: by timeframe, the bars that the values were computed from.
    """
    found = []
    for full_name, right in expected.items():
        name, timeframe = full_name.rsplit("_", 1)
        b = window[timeframe]
        if not (agree(name, actual[full_name], right, b) or is_exempt(name, actual[full_name], b)):
            found.append(Departure(full_name, actual[full_name], right, allowed(name, right, b)))
    return found


def allowed(name: str, expected: float, b: Bars) -> float:
    """The largest difference from `expected` that counts as rounding: rtol * |expected| + atol."""
    atol = ATOL[name](b) if name in ATOL else DEFAULT_ATOL
    return (0.0 if name in ABSOLUTE_ONLY else RTOL * abs(expected)) + atol


def agree(name: str, actual: float, expected: float, b: Bars) -> bool:
    """Whether two values are equal within the tolerance. NaN equals NaN; an infinity equals one of the same sign."""
    if actual == expected or (math.isnan(actual) and math.isnan(expected)):
        return True
    if not (math.isfinite(actual) and math.isfinite(expected)):
        return False
    return abs(actual - expected) <= allowed(name, expected, b)


def is_exempt(name: str, actual: float, b: Bars) -> bool:
    """Whether rounding alone decides the feature in this window. A signal or a cycle must still be a possible value."""
    return name in EXEMPTIONS and len(b) >= oracle.FEATURES[name][0] and EXEMPTIONS[name](actual, b)


def nearly_flat(x: Sequence[float]) -> bool:
    """Whether all items, or all but one, are equal. Their mean may then be an ulp off, so 0 may come out as an ulp."""
    return max(Counter(x).values()) >= len(x) - 1


def averages_meet(actual: float, b: Bars) -> bool:
    """RM_5 and RM_20 of the closes are equal up to rounding, so either signal is right."""
    distance = oracle.rolling_mean(b.close, 5) - oracle.rolling_mean(b.close, 20)
    return abs(distance) <= 1e-12 * b.close[-1] and actual in (0.0, 1.0)


def close_on_bin_edge(_: float, b: Bars) -> bool:
    """A close equals an inner edge of the histogram up to rounding, so it may fall on either side."""
    closes, inner_edges = b.close[-20:], oracle.histogram_edges_20(b)[1:10]
    rounding = 4 * math.ulp(max(closes))
    return not oracle.is_constant(closes) and any(abs(c - edge) <= rounding for c in closes for edge in inner_edges)


def cycles_tie(actual: float, b: Bars) -> bool:
    """`actual` is the length of a cycle whose amplitude equals the largest one up to rounding."""
    enough = b.spectrum[oracle.dominant_cycle(b)] - 1e-12 * max(b.spectrum)
    return any(actual == 50 / k for k in range(1, 25) if b.spectrum[k] >= enough)


def cycles_vanish(_: float, b: Bars) -> bool:
    """The amplitudes of all cycles are 0 up to rounding: the closes are equal, or alternate between two prices."""
    return max(b.spectrum[1:25]) <= 1e-12 * max(b.spectrum)


def power_vanishes(_: float, b: Bars) -> bool:
    """The closes are nearly flat, or the amplitudes so small that their squares have lost digits to underflow."""
    return nearly_flat(b.close[-50:]) or max(b.spectrum) < 1e-150


def covariance_vanishes(_: float, b: Bars) -> bool:
    """The covariance of successive close differences is 0 up to rounding, so its sign is undecided."""
    return abs(oracle.change_covariance_20(b)) <= 1e-14 * sum(d * d for d in b.change[-20:])


def reversion_vanishes(_: float, b: Bars) -> bool:
    """The numerator of beta is 0 up to rounding, so its sign is undecided."""
    products, _squares = oracle.ou_terms_100(b)
    return abs(sum(products)) <= 1e-12 * sum(map(abs, products))


def worst_returns_tie(_: float, b: Bars) -> bool:
    """The 3rd and 4th smallest of 50 log returns are equal up to rounding, so the mean may include 3 or more."""
    worst = sorted(b.log_return[-50:])
    return worst[3] - worst[2] <= 1e-14


EXEMPTIONS: dict[str, Callable[[float, Bars], bool]] = {
    "close_zscore_20": lambda _, b: nearly_flat(b.close[-20:]),
    "close_ma_cross_signal_5_20": averages_meet,
    "close_cci_20": lambda _, b: nearly_flat(b.typical_price[-20:]),
    "close_bb_width_20_2": lambda _, b: nearly_flat(b.close[-20:]),
    "close_bb_percent_20_2": lambda _, b: nearly_flat(b.close[-20:]),
    "close_bb_width_pct_20_2": lambda _, b: nearly_flat(b.close[-20:]),
    "close_entropy_20": close_on_bin_edge,
    "close_dominant_cycle_length_50": cycles_tie,
    "close_cycle_strength_50": cycles_vanish,
    "close_roll_spread_20": covariance_vanishes,
    "close_ou_halflife_100": lambda actual, b: nearly_flat(b.close[-101:]) or reversion_vanishes(actual, b),
    "close_cvar_5_50": worst_returns_tie,
    "close_spectral_entropy_50": power_vanishes,
}
"""By base name: whether rounding decides the feature, from the actual value and the window's bars."""
