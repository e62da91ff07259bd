"""The Dagster instance that a command records its work in."""

import os
import shutil
import sys
from pathlib import Path

import dagster as dg

LOCAL_HOME = Path(".dagster_home")
PACKAGE = Path(__file__).parents[1]


def shipped_config(name: str) -> Path:
    """A file of configs/ as the project ships it: in the installed package, or beside it in a checkout."""
    installed = PACKAGE / "shipped_configs" / name
    return installed if installed.exists() else PACKAGE.parent / "configs" / name


def dagster_instance() -> dg.DagsterInstance:
    """The instance of $DAGSTER_HOME; without it one in the local folder."""
    if not os.environ.get("DAGSTER_HOME"):
        print(f"DAGSTER_HOME is not set: runs are recorded in {LOCAL_HOME.resolve()}", file=sys.stderr)
        return local_instance(LOCAL_HOME)
    return dg.DagsterInstance.get()


def local_instance(home: Path) -> dg.DagsterInstance:
    """The instance of a folder, which is made with the shipped dagster.yaml and becomes this process's DAGSTER_HOME."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copy(shipped_config("dagster.yaml"), home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    return dg.DagsterInstance.get()
