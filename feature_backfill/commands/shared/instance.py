"""The Dagster instance in which a command records its runs."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import DatabaseError
from yaml import YAMLError

from feature_backfill.commands.shared.defaults import LOCAL_HOME
from feature_backfill.errors import RunError, UserError

PACKAGE = Path(__file__).parents[2]


def shipped_config(name: str) -> Path:
    """A file of configs/ as the project ships it: in the installed package, or beside it in a checkout."""
    installed = PACKAGE / "shipped_configs" / name
    return installed if installed.exists() else PACKAGE.parent / "configs" / name


@contextmanager
def dagster_instance(records_runs: bool = True) -> Iterator[dg.DagsterInstance]:
    """The instance of $DAGSTER_HOME or, without that, one in the working folder.

    records_runs: say where runs are recorded if that is the working folder.

    Raises UserError if DAGSTER_HOME or its dagster.yaml cannot be used, RunError if the records of the instance cannot
    be written, for instance on a full disk or without their server, or are damaged.
    """
    try:
        with _instance(records_runs) as instance:
            yield instance
    except Exception as error:
        if lost := _database_error(error):
            raise _unusable_records(Path(os.environ["DAGSTER_HOME"]), lost) from error
        raise


def has_home() -> bool:
    """Whether dagster_instance() finds a home: DAGSTER_HOME is set, or the working folder has a local one."""
    return bool(_named_home()) or LOCAL_HOME.exists()


def _named_home() -> str:
    return os.environ.get("DAGSTER_HOME", "").strip()


def _instance(records_runs: bool) -> dg.DagsterInstance:
    home = _named_home()
    if not home:
        if records_runs:
            print(f"DAGSTER_HOME is not set: runs are recorded in {LOCAL_HOME.resolve()}", file=sys.stderr)
        return local_instance(LOCAL_HOME)
    folder = Path(home).expanduser()
    if not folder.is_absolute():
        raise UserError(f"DAGSTER_HOME is the relative path {home}; set it to the absolute one, {folder.resolve()}")
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"DAGSTER_HOME {home} {problem}; create the folder, or set DAGSTER_HOME to another one")
    return _opened(folder)


def local_instance(home: Path) -> dg.DagsterInstance:
    """The instance of a folder, which gets the shipped dagster.yaml and becomes DAGSTER_HOME of this process."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copy(shipped_config("dagster.yaml"), home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    return _opened(home.resolve())


def _opened(home: Path) -> dg.DagsterInstance:
    """The instance of a folder. Raises UserError if the folder or its dagster.yaml cannot be used."""
    try:
        return dg.DagsterInstance.get()
    except OSError as error:
        raise UserError(
            f"Dagster cannot keep its records in {home}: {error.strerror}; set DAGSTER_HOME to a folder that you own"
        ) from error
    except (YAMLError, dg.DagsterError, ImportError) as error:
        raise _unusable_settings(home, error) from error
    except Exception as error:
        if isinstance(error.__context__, ImportError) and not isinstance(error, UserError):  # of a storage it names
            raise _unusable_settings(home, error.__context__) from error
        raise


def _unusable_settings(home: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()).partition(" Expected: ")[0]  # which goes on to list all there is
    if isinstance(error, ImportError) and error.name == "dagster_postgres":
        reason += "; pip install 'feature-backfill[postgres]'"
    return UserError(
        f"Dagster cannot use {home / 'dagster.yaml'}; correct it, or copy the shipped one of configs/: {reason}"
    )


def _database_error(error: Exception) -> DatabaseError | None:
    """What the database of Dagster's records said, if it is what failed. Dagster wraps what PostgreSQL says."""
    if isinstance(error, UserError | RunError):
        return None
    return next((said for said in (error, error.__cause__) if isinstance(said, DatabaseError)), None)


def _unusable_records(home: Path, error: DatabaseError) -> RunError:
    """What is wrong with the records of an instance, and what to do about it."""
    if not isinstance(error.orig, sqlite3.Error):
        return RunError(
            f"the database of Dagster's records, which {home / 'dagster.yaml'} names, does not work: "
            f"{' '.join(str(error.orig).split())}. Rows that were stored are safe: once it works again, "
            "feature-backfill repair shows them, and the command may run again"
        )
    damaged = [str(path) for path in sorted(home.rglob("*.db")) if _is_damaged(path)]
    if damaged:
        return RunError(
            f"Dagster's records in {', '.join(damaged)} are damaged; stored rows are not affected. Stop what uses "
            f"{home}, move the damaged files away, then feature-backfill repair shows the stored hours again"
        )
    return RunError(
        f"Dagster could not write its records in {home}: {error.orig}. Rows that were stored are safe: free space on "
        "its disk, then feature-backfill repair shows them, and the command may run again"
    )


def _is_damaged(path: Path) -> bool:
    """Whether SQLite finds a file damaged. Looks at each page once."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.OperationalError:  # locked, or not to be read: nothing is known of it
        return False
    except sqlite3.DatabaseError:
        return True
