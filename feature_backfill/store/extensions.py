"""DuckDB's extensions: from their packages where these are installed, else as the user has installed them."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import duckdb

from feature_backfill.errors import UserError
from feature_backfill.store.sql import literal


def load_extensions(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> None:
    """Load extensions into the instance of a connection. Raises UserError if one is not installed.

    Nothing is downloaded: a run must not depend on somebody else's server.
    """
    for name in names:
        file = _packaged(name)
        try:
            connection.execute(f"LOAD {name if file is None else literal(str(file))}")
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"a lake needs DuckDB's extension {name}: pip install 'feature-backfill[lake]', which also installs "
                f"the DuckDB that it is for; or, in DuckDB {duckdb.__version__}, run INSTALL {name} once: {reason}"
            ) from error


def _packaged(name: str) -> Path | None:
    """The file of an extension in the package duckdb-extension-<name>, if that has it for this version of DuckDB."""
    package = find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    return file if file.is_file() else None
