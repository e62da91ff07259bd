"""The Dagster instance in which a command records its runs."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import OperationalError

from feature_backfill.errors import RunError

LOCAL_HOME = Path(".dagster_home")
PACKAGE = Path(__file__).parents[2]


def shipped_config(name: str) -> Path:
    """A file of configs/ as the project ships it: in the installed package, or beside it in a checkout."""
    installed = PACKAGE / "shipped_configs" / name
    return installed if installed.exists() else PACKAGE.parent / "configs" / name


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of $DAGSTER_HOME or, without that, one in the working folder.

    Raises RunError if the instance cannot be written, for instance on a full disk.
    """
    try:
        with _instance() as instance:
            yield instance
    except OperationalError as error:
        raise RunError(
            f"Dagster could not write its records in {os.environ['DAGSTER_HOME']}: {error.orig}. Rows that were stored "
            "are safe: free space on its disk, then feature-backfill repair shows them, and the command may run again"
        ) from error


def _instance() -> dg.DagsterInstance:
    if not os.environ.get("DAGSTER_HOME"):
        print(f"DAGSTER_HOME is not set: runs are recorded in {LOCAL_HOME.resolve()}", file=sys.stderr)
        return local_instance(LOCAL_HOME)
    return dg.DagsterInstance.get()


def local_instance(home: Path) -> dg.DagsterInstance:
    """The instance of a folder, which gets the shipped dagster.yaml and becomes DAGSTER_HOME of this process."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copy(shipped_config("dagster.yaml"), home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    return dg.DagsterInstance.get()
