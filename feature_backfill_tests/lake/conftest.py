import pytest

from feature_backfill.config import Lake


@pytest.fixture
def lake(catalog, tmp_path):
    """A lake in which there is nothing yet."""
    return Lake(catalog, str(tmp_path / "lake"), "btc")
