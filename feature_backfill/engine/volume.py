"""Volume: how much was traded, on which side, and what it moved."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import ALL_BARS, Feature, computes
from feature_backfill.engine.lookbacks import Lookbacks
from feature_backfill.engine.sums import mean, sd
from feature_backfill.engine.windows import OhlcvWindows, exponential_weights, ratio, shared


@computes(
    Feature("volume_sma_20", 20, "mean volume of 20 bars"),
    Feature("volume_rvol_20", 20, "volume / mean volume of 20 bars, the newest included"),
)
def relative_volume(w: OhlcvWindows) -> tuple[Floats, Floats]:
    """m = mean of V over 20 bars; V_T / m.

    The newest bar is one of the 20.
    """
    return w.mean(w.volume, 20), ratio(w.last(w.volume), mean(w.tail(w.volume, 20)))


@computes(Feature("volume_roc_10", 11, "change of volume over 10 bars in percent"))
def volume_rate_of_change(w: OhlcvWindows) -> Floats:
    """100 (V_T - V_{T-10}) / V_{T-10}."""
    before = w.last(w.volume, 10)
    return ratio(w.last(w.volume) - before, before) * 100


@computes(
    Feature("close_volume_ratio", 1, "close / volume"),
    Feature("high_volume_ratio", 1, "high / volume"),
)
def price_over_volume(w: OhlcvWindows) -> tuple[Floats, Floats]:
    """C_T / V_T; H_T / V_T."""
    volume = w.last(w.volume)
    return ratio(w.last_close, volume), ratio(w.last(w.high), volume)


@shared
def _on_balance_volume(w: OhlcvWindows) -> Floats:
    """sum over the lookback of sign(C_i - C_{i-1}) V_i."""
    return w.weighted_sum(np.sign(w.change) * w.volume, np.ones(w.bars - 1))


@computes(Feature("close_obv", 2, "on-balance volume since the oldest bar", ALL_BARS), reach=0)
def on_balance_volume(w: OhlcvWindows) -> Floats:
    """Sum of sign(C_i - C_{i-1}) V_i over the whole lookback, without the oldest bar (J. Granville 1963).

    It starts at 0 with each lookback, so it depends on base_hours.
    """
    return _on_balance_volume(w)


@computes(
    Feature("close_obv_over_dollar_vol_20", 20, "on-balance volume / dollar volume of 20 bars", ALL_BARS), reach=20
)
def on_balance_volume_share(w: OhlcvWindows) -> Floats:
    """close_obv / sum of DV over 20 bars."""
    return ratio(_on_balance_volume(w), w.turnover_20)


@computes(
    Feature("close_vwap", 1, "volume-weighted typical price of the whole lookback", ALL_BARS),
    Feature("close_over_vwap", 1, "close / volume-weighted price", ALL_BARS),
    Feature("close_log_ratio_vwap", 1, "ln(close / volume-weighted price)", ALL_BARS),
)
def volume_weighted_price(lb: Lookbacks) -> tuple[Floats, ...]:
    """p = sum of TP V / sum of V over the whole lookback; C_T / p; ln(C_T / p); NaN where the turnover overflows.

    The price is that of the whole lookback (30 days by default), not of a day.
    """
    w, oldest = lb.windows, lb.oldest
    oldest_price = (oldest.high + oldest.low + oldest.close) / 3
    turnover = lb.sum_newer(w.typical_price * w.volume) + oldest_price * oldest.volume
    price = ratio(turnover, lb.sum_newer(w.volume) + oldest.volume)
    over = ratio(lb.at_hours(w.last_close), price)
    return price, over, np.where(over > 0, np.log(over), np.nan)


def _money_flow_volume(high: Floats, low: Floats, close: Floats, volume: Floats) -> Floats:
    """((C - L) - (H - C)) / (H - L) V, 0 for a bar without a range."""
    return ratio((close - low) - (high - close), high - low, if_zero=0) * volume


@shared
def _accumulation_distribution(lb: Lookbacks) -> Floats:
    """sum of money flow volume over the lookback."""
    w, oldest = lb.windows, lb.oldest
    oldest_flow = _money_flow_volume(oldest.high, oldest.low, oldest.close, oldest.volume)
    return lb.sum_newer(_money_flow_volume(w.high, w.low, w.close, w.volume)) + oldest_flow


@computes(Feature("close_adl", 1, "accumulation/distribution line since the oldest bar", ALL_BARS))
def accumulation_distribution(lb: Lookbacks) -> Floats:
    """Sum of ((C - L) - (H - C)) / (H - L) V over the whole lookback; a bar with H = L adds 0 (M. Chaikin).

    It starts at 0 with each lookback, so it depends on base_hours.
    """
    return _accumulation_distribution(lb)


@computes(
    Feature("close_adl_over_dollar_vol_20", 20, "accumulation/distribution line / dollar volume of 20 bars", ALL_BARS),
)
def accumulation_distribution_share(lb: Lookbacks) -> Floats:
    """close_adl / sum of DV over 20 bars."""
    return ratio(_accumulation_distribution(lb), lb.at_hours(lb.windows.turnover_20))


@computes(Feature("close_chaikin_3_10", 10, "EMA 3 - EMA 10 of the accumulation/distribution line", ALL_BARS), reach=0)
def chaikin_oscillator(w: OhlcvWindows) -> Floats:
    """EMA_3(A) - EMA_10(A), A_t being close_adl of the bars up to t.

    The oldest bar shifts every A_t alike, which the difference cancels.
    """
    # Summed by parts: the flow of bar i counts with the weight that the means give to bars i..T, EMA_3's less EMA_10's,
    # which for the oldest bar is 0.
    older_bars = np.cumsum(exponential_weights(10, w.bars) - exponential_weights(3, w.bars))[:-1]
    return w.weighted_sum(_money_flow_volume(w.high, w.low, w.close, w.volume), older_bars)


@computes(
    Feature("close_amihud_20", 21, "Amihud's illiquidity: mean of |log return| / dollar volume over bars that traded"),
    reach=20,
)
def amihud(w: OhlcvWindows) -> Floats:
    """Mean of |LR| / DV over those of 20 bars with DV > 0; NaN if there are none (Y. Amihud 2002)."""
    traded = (w.dollar_volume != 0).astype(np.float64)
    return ratio(w.sum(ratio(np.abs(w.log_return), w.dollar_volume, if_zero=0), 20), w.sum(traded, 20))


@computes(Feature("turnover_z_20", 20, "dollar volume's distance from its 20-bar mean in sample standard deviations"))
def turnover_zscore(w: OhlcvWindows) -> Floats:
    """(DV_T - m) / s, m and s being mean and sd of DV over 20 bars.

    The newest bar is one of the 20.
    """
    return ratio(w.last(w.dollar_volume) - w.turnover_20 / 20, sd(w.tail(w.dollar_volume, 20)))
