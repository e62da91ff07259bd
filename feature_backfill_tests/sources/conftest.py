import pytest

from feature_backfill.sources import retrying
from feature_backfill_tests.exchange.scene import served_scene


@pytest.fixture
def scene(tmp_path):
    """A simulated exchange, and a folder for our side of it."""
    with served_scene(tmp_path) as scene:
        yield scene


@pytest.fixture
def small_pages(monkeypatch):
    """An API that gives a day at a time, so that the archive is worth its while for a few days."""
    import ccxt

    describe = ccxt.binanceusdm.describe
    page = {"features": {"swap": {"linear": {"fetchOHLCV": {"limit": 24}}}}}
    monkeypatch.setattr(ccxt.binanceusdm, "describe", lambda self: self.deep_extend(describe(self), page))


@pytest.fixture
def short_pauses(monkeypatch):
    """What failed is asked for again at once."""
    monkeypatch.setattr(retrying, "PAUSES_S", (0.01,) * len(retrying.PAUSES_S))
