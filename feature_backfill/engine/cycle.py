"""Cycle: the discrete Fourier spectrum of the last 50 closes about their mean."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.sums import centred, total
from feature_backfill.engine.windows import Windows, ratio

SIZE = 50


@computes(
    Feature("close_dominant_cycle_length_50", SIZE, "length in bars of the strongest cycle, 2.08 .. 50"),
    Feature("close_cycle_strength_50", SIZE, "amplitude of the strongest cycle / sum of amplitudes"),
    Feature("close_spectral_entropy_50", SIZE, "entropy of the power spectrum, 0 .. 1"),
)
def spectrum(w: Windows) -> tuple[Floats, ...]:
    """50/k* and A_k*/sum A_k, k* the k in 1..24 of the largest amplitude A_k; -sum p ln(p + 1e-12)/ln 26.

    p is A_k^2's share of their sum, k = 0..25.
    """
    transform = np.fft.rfft(centred(w.tail(w.close, SIZE)), axis=0)
    power = transform.real**2 + transform.imag**2
    amplitudes = np.sqrt(power[1:25])
    strongest = amplitudes.argmax(axis=0)
    strength = ratio(amplitudes.max(axis=0), total(amplitudes))
    shares = power / total(power)
    entropy = -total(shares * np.log(shares + 1e-12)) / np.log(26)
    return SIZE / (strongest + 1.0), strength, entropy
