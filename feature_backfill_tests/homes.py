"""Where Dagster keeps its records."""

import shutil
from pathlib import Path

from feature_backfill.commands.shared.instance import shipped_config


def new_home(folder: Path) -> Path:
    """The folder, created as a DAGSTER_HOME with the shipped dagster.yaml."""
    folder.mkdir()
    shutil.copy(shipped_config("dagster.yaml"), folder / "dagster.yaml")
    return folder
