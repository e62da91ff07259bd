"""Cycle: the discrete Fourier spectrum of the last 50 closes about their mean."""

import numpy as np

from feature_backfill.engine.bars import Floats
from feature_backfill.engine.feature import Feature, computes
from feature_backfill.engine.windows import Windows, ratio

SIZE = 50


@computes(
    Feature(86, "close_dominant_cycle_length_50", SIZE, "length in bars of the strongest cycle, 2.08 .. 50"),
    Feature(87, "close_cycle_strength_50", SIZE, "amplitude of the strongest cycle / sum of amplitudes"),
    Feature(110, "close_spectral_entropy_50", SIZE, "entropy of the power spectrum, 0 .. 1"),
)
def spectrum(w: Windows) -> tuple[Floats, ...]:
    """k* the k in 1..24 of the largest A_k; 50/k*; A_k*/sum A_k; -sum p ln(p + 1e-12)/ln 26 with p = A_k^2/sum A_k^2, k = 0..25."""
    closes = w.tail(w.close, SIZE)
    transform = np.fft.rfft(closes - closes.mean(axis=-1, keepdims=True), axis=-1)
    power = transform.real**2 + transform.imag**2
    amplitudes = np.sqrt(power[:, 1:25])
    strongest = amplitudes.argmax(axis=-1)
    strength = ratio(amplitudes.max(axis=-1), amplitudes.sum(axis=-1))
    shares = power / power.sum(axis=-1, keepdims=True)
    entropy = -(shares * np.log(shares + 1e-12)).sum(axis=-1) / np.log(26)
    return SIZE / (strongest + 1.0), strength, entropy
