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

    p is the share of A_k^2 in their sum, k = 0..25. np.abs finds A_k without squaring the parts of the transform, whose
    squares overflow or vanish at prices where A_k itself is still a number.
    """
    amplitudes = np.abs(np.fft.rfft(centred(w.tail(w.close, SIZE)), axis=0))
    cycles = amplitudes[1:25]
    strength = ratio(cycles.max(axis=0), total(cycles))
    power = amplitudes**2
    shares = power / total(power)
    entropy = -total(shares * np.log(shares + 1e-12)) / np.log(26)
    return SIZE / (cycles.argmax(axis=0) + 1.0), strength, entropy
