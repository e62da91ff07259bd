from pathlib import Path

import numpy as np
import pytest

from feature_backfill_tests.faults.scene import Scene


@pytest.fixture
def dagster_home(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scene's, for the fixture instance."""
    monkeypatch.setenv("DAGSTER_HOME", str(scene.folder))
    return scene.folder


@pytest.fixture
def rng(pytestconfig: pytest.Config) -> np.random.Generator:
    """Decides what happens, and when."""
    return np.random.default_rng(pytestconfig.getoption("fault_seed"))
