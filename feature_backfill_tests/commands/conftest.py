import pytest

from feature_backfill_tests.markets import small_market


@pytest.fixture
def market(tmp_path, monkeypatch, dagster_home):
    """The small market in the working folder, with nothing stored."""
    monkeypatch.chdir(tmp_path)
    return small_market(tmp_path)
