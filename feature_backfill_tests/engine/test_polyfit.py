"""The slope through equal values against np.polyfit itself, and its fused multiply-add against exact arithmetic."""

import os
import platform
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_backfill.checks import oracle
from feature_backfill.engine import polyfit

VALUES = np.random.default_rng(0).uniform(-1, 6, 2000)
BY_NUMPY = """
import sys
import numpy as np
abscissas = np.log(np.arange(2.0, 20.0))
for value in sys.stdin:
    print(np.polyfit(abscissas, np.full(18, float.fromhex(value)), 1)[0].hex())
"""


def has_openblas():
    return "openblas" in np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="OpenBLAS has these kernels on x86-64 only")
@pytest.mark.skipif(not has_openblas(), reason="numpy was built with another BLAS than OpenBLAS")
@pytest.mark.parametrize("kernel", ["Haswell", "Zen"])
def test_slope_is_numpys_to_the_last_bit(kernel):
    result = subprocess.run(
        [sys.executable, "-c", BY_NUMPY],
        input="\n".join(value.hex() for value in VALUES.tolist()),
        env=os.environ | {"OPENBLAS_CORETYPE": kernel},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [float.fromhex(line) for line in result.stdout.split()]
    assert polyfit.slope_of_equal_values(VALUES).tolist() == expected


def test_slope_is_the_oracles_to_the_last_bit():
    assert polyfit.slope_of_equal_values(VALUES[:50]).tolist() == [
        oracle.slope_of_equals(value) for value in VALUES[:50].tolist()
    ]


def test_slope_is_nan_without_a_value():
    with np.errstate(invalid="ignore"):
        assert np.isnan(polyfit.slope_of_equal_values(np.array([np.nan, -np.inf, np.inf]))).all()


MODERATE = st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(a=MODERATE, b=MODERATE, c=MODERATE)
def test_fused_multiply_add_rounds_once(a, b, c):
    assert polyfit._fused(np.array(a), b, np.array(c)) == float(Fraction(a) * Fraction(b) + Fraction(c))


@given(a=MODERATE, b=MODERATE)
def test_fused_multiply_add_keeps_what_a_product_loses(a, b):
    assert polyfit._fused(np.array(a), b, np.array(-a * b)) == float(Fraction(a) * Fraction(b) - Fraction(a * b))
