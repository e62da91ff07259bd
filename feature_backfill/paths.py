"""Paths that a user gives."""

from pathlib import Path

from feature_backfill.errors import UserError


def absolute(path: Path) -> Path:
    """The absolute path with symbolic links resolved. The file need not exist.

    Raises UserError if no file can exist at the path: circular links, a name that is too long, a folder without access.
    """
    try:
        resolved = path.resolve()
        resolved.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"no file can exist at {str(path)!r}: {reason}; correct the path") from error
    return resolved
