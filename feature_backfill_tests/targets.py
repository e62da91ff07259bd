"""Targets of both kinds for tests that must not care which they have: a DuckDB file, and a schema of a lake."""

from pathlib import Path

import pytest

from feature_backfill.config import Lake

FILE_OR_LAKE = ["file", pytest.param("lake", marks=pytest.mark.lake)]

FILE_ONLY = pytest.mark.parametrize("market", ["file"], indirect=True)
"""For a test that uses a `market` of either kind, and does to its target what can be done to a file only."""


def new_target(request: pytest.FixtureRequest, name: str = "features") -> Path | Lake:
    """For a fixture with the params FILE_OR_LAKE: a target that does not exist yet. The lakes of a test share one."""
    folder: Path = request.getfixturevalue("tmp_path")
    if request.param == "file":
        return folder / f"{name}.duckdb"
    return Lake(request.getfixturevalue("catalog"), str(folder / "lake"), name)


def target_fields(request: pytest.FixtureRequest) -> dict[str, object]:
    """For a fixture with the params FILE_OR_LAKE: the fields of a small market that say where its rows go."""
    if request.param == "file":
        return {}
    return {"target": {"catalog": request.getfixturevalue("catalog"), "data": "lake"}}
