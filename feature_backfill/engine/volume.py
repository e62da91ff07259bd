"""Volume: how much was traded, on which side, and what it moved."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.sums import mean, sd
from feature_backfill.engine.windows import Lookbacks, Windows, exponential_weights, ratio, shared


@computes(
    Feature(28, "volume_sma_20", 20, "mean volume of 20 bars"),
    Feature(93, "volume_rvol_20", 20, "volume / mean volume of 20 bars, the newest included"),
)
def relative_volume(w: Windows) -> tuple[Floats, Floats]:
    """mean V, V_T / mean V."""
    return w.mean(w.volume, 20), ratio(w.last(w.volume), mean(w.tail(w.volume, 20)))


@computes(Feature(56, "volume_roc_10", 11, "change of volume over 10 bars in percent"))
def volume_rate_of_change(w: Windows) -> Floats:
    """100 (V_T - V_{T-10}) / V_{T-10}."""
    before = w.last(w.volume, 10)
    return ratio(w.last(w.volume) - before, before) * 100


@computes(
    Feature(65, "close_volume_ratio", 1, "close / volume"),
    Feature(66, "high_volume_ratio", 1, "high / volume"),
)
def price_over_volume(w: Windows) -> tuple[Floats, Floats]:
    """c / V_T, H_T / V_T."""
    volume = w.last(w.volume)
    return ratio(w.last_close, volume), ratio(w.last(w.high), volume)


@shared
def _on_balance_volume(w: Windows) -> Floats:
    """sum over the lookback of sign(C_i - C_{i-1}) V_i."""
    return w.weighted_sum(np.sign(w.change) * w.volume, np.ones(w.bars - 1))


@computes(Feature(48, "close_obv", 2, "on-balance volume since the oldest bar"))
def on_balance_volume(w: Windows) -> Floats:
    """sum sign(C_i - C_{i-1}) V_i (J. Granville 1963)."""
    return _on_balance_volume(w)


@computes(Feature(49, "close_obv_over_dollar_vol_20", 20, "on-balance volume / dollar volume of 20 bars"))
def on_balance_volume_share(w: Windows) -> Floats:
    """OBV / sum DV."""
    return ratio(_on_balance_volume(w), w.turnover_20)


@computes(
    Feature(50, "close_vwap", 1, "volume-weighted typical price of the whole lookback"),
    Feature(51, "close_over_vwap", 1, "close / volume-weighted price"),
    Feature(52, "close_log_ratio_vwap", 1, "ln(close / volume-weighted price)"),
    per_lookback=True,
)
def volume_weighted_price(lb: Lookbacks) -> tuple[Floats, ...]:
    """sum TP V / sum V over all bars, c over it, and the log of that, NaN where the turnover overflows."""
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


@computes(Feature(53, "close_adl", 1, "accumulation/distribution line since the oldest bar"), per_lookback=True)
def accumulation_distribution(lb: Lookbacks) -> Floats:
    """sum ((C - L) - (H - C))/(H - L) V (M. Chaikin)."""
    return _accumulation_distribution(lb)


@computes(
    Feature(54, "close_adl_over_dollar_vol_20", 20, "accumulation/distribution line / dollar volume of 20 bars"),
    per_lookback=True,
)
def accumulation_distribution_share(lb: Lookbacks) -> Floats:
    """ADL / sum DV."""
    return ratio(_accumulation_distribution(lb), lb.at_hours(lb.windows.turnover_20))


@computes(Feature(55, "close_chaikin_3_10", 10, "EMA 3 - EMA 10 of the accumulation/distribution line"))
def chaikin_oscillator(w: Windows) -> Floats:
    """EMA_3(A) - EMA_10(A), A_t = sum_{i<=t} m_i.

    Summed by parts: m_i counts with the weight that the means give to bars i..T, EMA_3's less EMA_10's. That of the
    oldest bar is 0, so a partial one does not matter.
    """
    older_bars = np.cumsum(exponential_weights(10, w.bars) - exponential_weights(3, w.bars))[:-1]
    return w.weighted_sum(_money_flow_volume(w.high, w.low, w.close, w.volume), older_bars)


@computes(
    Feature(
        103, "close_amihud_20", 21, "Amihud's illiquidity: mean of |log return| / dollar volume over bars that traded"
    )
)
def amihud(w: Windows) -> Floats:
    """mean of |ln(C_i/C_{i-1})| / DV_i over those of 20 bars with DV_i != 0 (Y. Amihud 2002)."""
    traded = (w.dollar_volume != 0).astype(np.float64)
    return ratio(w.sum(ratio(np.abs(w.log_return), w.dollar_volume, if_zero=0), 20), w.sum(traded, 20))


@computes(
    Feature(104, "turnover_z_20", 20, "dollar volume's distance from its 20-bar mean in sample standard deviations")
)
def turnover_zscore(w: Windows) -> Floats:
    """(DV_T - mean)/sd."""
    return ratio(w.last(w.dollar_volume) - w.turnover_20 / 20, sd(w.tail(w.dollar_volume, 20)))
