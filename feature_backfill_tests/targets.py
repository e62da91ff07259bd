"""Targets of both kinds for tests that must not care which they have: a DuckDB file, and a schema of a lake."""

from pathlib import Path

import pytest

from feature_backfill.config import Lake

FILE_OR_LAKE = ["file", pytest.param("lake", marks=pytest.mark.lake)]


def new_target(request: pytest.FixtureRequest, name: str = "features") -> Path | Lake:
    """For a fixture with the params FILE_OR_LAKE: a target that does not exist yet. The lakes of a test share one."""
    folder: Path = request.getfixturevalue("tmp_path")
    if request.param == "file":
        return folder / f"{name}.duckdb"
    return Lake(request.getfixturevalue("catalog"), str(folder / "lake"), name)
