"""Paths that a user names."""

from pathlib import Path

from feature_backfill.errors import UserError


def absolute(path: Path) -> Path:
    """The path from the root on, links followed; whether a file is there does not matter.

    Raises UserError where none can be: links in a circle, too long a name, a folder that may not be entered.
    """
    try:
        resolved = path.resolve()
        resolved.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"there can be no file {str(path)!r}: {reason}") from error
    return resolved
