import shutil

import pytest

from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill_tests.checks.evaluations import FIRST, HOURS, STORED, current_market, materialize
from feature_backfill_tests.markets import put_ohlcv


@pytest.fixture(scope="module")
def filled(tmp_path_factory, module_instance):
    """The folder of a market that is current, with every hour stored that can be computed."""
    folder = tmp_path_factory.mktemp("market")
    put_ohlcv(folder / "ohlcv.duckdb", synthetic_ohlcv(FIRST, HOURS, seed=3))
    market = current_market(folder)
    assert materialize(module_instance, market, STORED[0], STORED[-1]).success
    return folder


@pytest.fixture
def market(filled, tmp_path):
    """A copy of that market, to be damaged."""
    shutil.copytree(filled, tmp_path / "market")
    return current_market(tmp_path / "market")
