"""Volatility: ranges, standard deviations, range-based estimators, Bollinger bands."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.sums import mean, sd, variance
from feature_backfill.engine.windows import ATR_REACH, OhlcvWindows, Windows, ratio, shared


@computes(Feature("close_hv_20", 21, "standard deviation of 20 log returns times sqrt(365), in every timeframe"))
def historical_volatility(w: Windows) -> Floats:
    """sqrt(365) sd(LR over 20 bars).

    The factor is that of daily bars in every timeframe.
    """
    return w.return_sd_20 * np.sqrt(365)


@computes(
    Feature("close_atr_14", 15, "plain mean of 14 true ranges (not Wilder's)"),
    Feature("close_vol_adj_return_atr14", 15, "last log return / square root of ATR (price units)"),
    reach=ATR_REACH,
)
def average_true_range(w: OhlcvWindows) -> tuple[Floats, Floats]:
    """ATR; ln(C_T / C_{T-1}) / sqrt(ATR).

    The ATR is a plain mean, whereas ADX smooths true ranges by RMA. The second feature divides a number without a unit
    by the root of a price.
    """
    return w.atr_14, ratio(w.last(w.log_return), np.sqrt(w.atr_14))


@computes(
    Feature("close_zscore_20", 20, "distance of the close from its 20-bar mean in sample standard deviations"),
    Feature("close_bb_upper_20_2", 20, "upper Bollinger band: mean + 2 sample standard deviations of 20 closes"),
    Feature("close_bb_middle_20", 20, "middle Bollinger band: mean of 20 closes"),
    Feature("close_bb_lower_20_2", 20, "lower Bollinger band: mean - 2 sample standard deviations of 20 closes"),
    Feature("close_bb_width_20_2", 20, "upper - lower Bollinger band"),
    Feature(
        "close_bb_percent_20_2", 20, "position of the close between the bands, 0 lower .. 1 upper; 0.5 without a width"
    ),
    Feature("close_bb_width_pct_20_2", 20, "width of the bands / middle band, as a fraction"),
)
def bollinger_bands(w: Windows) -> tuple[Floats, ...]:
    """(C_T - m) / s; m + 2s; m; m - 2s; w = 4s; (C_T - (m - 2s)) / w, 0.5 if w = 0; w / m.

    m and s are mean and sd of C over 20 bars. With a sample sd, the position in the bands is 0.5 + zscore / 4.
    """
    middle, sd = w.close_mean_20, w.close_sd_20
    upper, lower = middle + 2 * sd, middle - 2 * sd
    width = upper - lower
    percent = ratio(w.last_close - lower, width, if_zero=0.5)
    return ratio(w.last_close - middle, sd), upper, middle, lower, width, percent, ratio(width, middle)


@computes(Feature("close_vol_ratio_5_50", 51, "standard deviation of 5 log returns / of 50"))
def volatility_ratio(w: Windows) -> Floats:
    """sd(LR over 5 bars) / sd(LR over 50 bars)."""
    return ratio(sd(w.tail(w.log_return, 5)), sd(w.tail(w.log_return, 50)))


def _root_if_not_negative(variance: Floats) -> Floats:
    return np.where(variance < 0, np.nan, np.sqrt(np.abs(variance)))


@computes(Feature("close_parkinson_20", 20, "Parkinson's volatility from high and low, not annualised"))
def parkinson(w: OhlcvWindows) -> Floats:
    """sqrt(mean of ln(H/L)^2 over 20 bars / (4 ln 2)) (M. Parkinson 1980)."""
    return np.sqrt(mean(w.tail(np.log(w.high / w.low) ** 2, 20)) / (4 * np.log(2)))


@computes(Feature("close_gk_20", 20, "Garman and Klass's volatility from open, high, low and close, not annualised"))
def garman_klass(w: OhlcvWindows) -> Floats:
    """sqrt(mean over 20 bars of 0.5 ln(H/L)^2 - (2 ln 2 - 1) ln(C/O)^2); NaN if negative (M. Garman, M. Klass 1980)."""
    terms = 0.5 * np.log(w.high / w.low) ** 2 - (2 * np.log(2) - 1) * np.log(w.close / w.open) ** 2
    return _root_if_not_negative(mean(w.tail(terms, 20)))


@shared
def _mean_rogers_satchell(w: OhlcvWindows) -> Floats:
    """mean S, S = ln(H/C) ln(H/O) + ln(L/C) ln(L/O)."""
    above = np.log(w.high / w.close) * np.log(w.high / w.open)
    return mean(w.tail(above + np.log(w.low / w.close) * np.log(w.low / w.open), 20))


@computes(Feature("close_rs_20", 20, "Rogers and Satchell's volatility, free of drift, not annualised"))
def rogers_satchell(w: OhlcvWindows) -> Floats:
    """sqrt(mean of RS over 20 bars), RS = ln(H/C) ln(H/O) + ln(L/C) ln(L/O) (L. Rogers, S. Satchell 1991)."""
    return _root_if_not_negative(_mean_rogers_satchell(w))


@computes(Feature("close_yz_20", 21, "Yang and Zhang's volatility, with jumps between bars, not annualised"), reach=20)
def yang_zhang(w: OhlcvWindows) -> Floats:
    """sqrt(var(ln(O_i/C_{i-1})) + k var(ln(C/O)) + (1-k) mean of RS), each over 20 bars (D. Yang, Q. Zhang 2000).

    RS as for close_rs_20; k = 0.34 / (1.34 + 21/19); NaN if the sum is negative.
    """
    k = 0.34 / (1.34 + 21 / 19)
    jumps = variance(w.tail(np.log(w.open / w.previous_close), 20))
    bodies = variance(w.tail(np.log(w.close / w.open), 20))
    return _root_if_not_negative(jumps + k * bodies + (1 - k) * _mean_rogers_satchell(w))
