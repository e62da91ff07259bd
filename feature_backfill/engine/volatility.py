"""Volatility: ranges, standard deviations, range-based estimators, Bollinger bands."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.sums import mean, sd, variance
from feature_backfill.engine.windows import Windows, ratio, shared


@computes(Feature(37, "close_hv_20", 21, "standard deviation of 20 log returns times sqrt(365), in every timeframe"))
def historical_volatility(w: Windows) -> Floats:
    """sd(LR) sqrt(365)."""
    return w.return_sd_20 * np.sqrt(365)


@computes(
    Feature(38, "close_atr_14", 15, "plain mean of 14 true ranges (not Wilder's)"),
    Feature(72, "close_vol_adj_return_atr14", 15, "last log return / square root of ATR (price units)"),
)
def average_true_range(w: Windows) -> tuple[Floats, Floats]:
    """ATR, and ln(c / C_{T-1}) / sqrt(ATR)."""
    return w.atr_14, ratio(w.last(w.log_return), np.sqrt(w.atr_14))


@computes(
    Feature(9, "close_zscore_20", 20, "distance of the close from its 20-bar mean in sample standard deviations"),
    Feature(39, "close_bb_upper_20_2", 20, "upper Bollinger band: mean + 2 sample standard deviations of 20 closes"),
    Feature(40, "close_bb_middle_20", 20, "middle Bollinger band: mean of 20 closes"),
    Feature(41, "close_bb_lower_20_2", 20, "lower Bollinger band: mean - 2 sample standard deviations of 20 closes"),
    Feature(42, "close_bb_width_20_2", 20, "upper - lower Bollinger band"),
    Feature(
        43, "close_bb_percent_20_2", 20, "place of the close between the bands, 0 lower .. 1 upper; 0.5 without a width"
    ),
    Feature(44, "close_bb_width_pct_20_2", 20, "width of the bands / middle band, as a fraction"),
)
def bollinger_bands(w: Windows) -> tuple[Floats, ...]:
    """z = (c - m)/s; m + 2s, m, m - 2s; their width; (c - lower)/width; width / m."""
    middle, sd = w.close_mean_20, w.close_sd_20
    upper, lower = middle + 2 * sd, middle - 2 * sd
    width = upper - lower
    percent = ratio(w.last_close - lower, width, if_zero=0.5)
    return ratio(w.last_close - middle, sd), upper, middle, lower, width, percent, ratio(width, middle)


@computes(Feature(45, "close_vol_ratio_5_50", 51, "standard deviation of 5 log returns / of 50"))
def volatility_ratio(w: Windows) -> Floats:
    """sd(LR_5) / sd(LR_50)."""
    return ratio(sd(w.tail(w.log_return, 5)), sd(w.tail(w.log_return, 50)))


def _root_if_not_negative(variance: Floats) -> Floats:
    return np.where(variance < 0, np.nan, np.sqrt(np.abs(variance)))


@computes(Feature(46, "close_parkinson_20", 20, "Parkinson's volatility from high and low, not annualised"))
def parkinson(w: Windows) -> Floats:
    """sqrt(mean ln(H/L)^2 / (4 ln 2)) (M. Parkinson 1980)."""
    return np.sqrt(mean(w.tail(np.log(w.high / w.low) ** 2, 20)) / (4 * np.log(2)))


@computes(
    Feature(47, "close_gk_20", 20, "Garman and Klass's volatility from open, high, low and close, not annualised")
)
def garman_klass(w: Windows) -> Floats:
    """sqrt(mean of ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2) (M. Garman, M. Klass 1980)."""
    terms = 0.5 * np.log(w.high / w.low) ** 2 - (2 * np.log(2) - 1) * np.log(w.close / w.open) ** 2
    return _root_if_not_negative(mean(w.tail(terms, 20)))


@shared
def _mean_rogers_satchell(w: Windows) -> Floats:
    """mean S, S = ln(H/C) ln(H/O) + ln(L/C) ln(L/O)."""
    above = np.log(w.high / w.close) * np.log(w.high / w.open)
    return mean(w.tail(above + np.log(w.low / w.close) * np.log(w.low / w.open), 20))


@computes(Feature(91, "close_rs_20", 20, "Rogers and Satchell's volatility, free of drift, not annualised"))
def rogers_satchell(w: Windows) -> Floats:
    """sqrt(mean S) (L. Rogers, S. Satchell 1991)."""
    return _root_if_not_negative(_mean_rogers_satchell(w))


@computes(Feature(92, "close_yz_20", 21, "Yang and Zhang's volatility, with jumps between bars, not annualised"))
def yang_zhang(w: Windows) -> Floats:
    """sqrt(var ln(O_i/C_{i-1}) + k var ln(C/O) + (1-k) mean S), k = 0.34/(1.34 + 21/19) (D. Yang, Q. Zhang 2000)."""
    k = 0.34 / (1.34 + 21 / 19)
    jumps = variance(w.tail(np.log(w.open / w.previous_close), 20))
    bodies = variance(w.tail(np.log(w.close / w.open), 20))
    return _root_if_not_negative(jumps + k * bodies + (1 - k) * _mean_rogers_satchell(w))
