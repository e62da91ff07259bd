"""Sound features, on closes, on OHLCV and on a further column."""

from feature_backfill import ALL_BARS, Feature, Floats, OhlcvWindows, Windows, computes, exponential_weights, ratio
from feature_backfill.checks.oracle import Bars

VERSION = 1


def _taker_shares(bars: Bars) -> tuple[float, float]:
    volume = sum(bars.volume[-6:])
    share = sum(bars.columns["taker"][-6:]) / volume if volume else float("nan")
    return bars.columns["taker"][-1] / bars.volume[-1] if bars.volume[-1] else float("nan"), share


@computes(
    Feature("desk_taker_share", 1, "share of the taker volume in the newest bar"),
    Feature("desk_taker_share_6", 6, "share of the taker volume in 6 bars"),
    reach=6,
    columns=("taker",),
    reference=_taker_shares,
)
def taker_share(w: OhlcvWindows) -> tuple[Floats, ...]:
    """B_T / V_T; sum of B / sum of V over 6 bars, B the taker volume."""
    taker = w.column("taker")
    newest = ratio(w.last(taker), w.last(w.volume))
    size = min(6, w.bars)
    return newest, ratio(w.sum(taker, size), w.sum(w.volume, size))


@computes(Feature("desk_momentum_3", 4, "change over 3 bars"), reference=lambda b: b.close[-1] / b.close[-4] - 1)
def momentum_3(w: Windows) -> Floats:
    """C_T / C_{T-3} - 1."""
    return ratio(w.last_close, w.last(w.close, 3)) - 1


@computes(Feature("desk_ema_5", 5, "exponential mean of the close, span 5", ALL_BARS))
def ema_5(w: Windows) -> Floats:
    """EMA_5(C)."""
    return w.weighted_sum(w.close, exponential_weights(5, w.bars))
