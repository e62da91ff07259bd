"""Paths that a user gives, and files that appear whole or not at all."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """A place beside a file, for the block to write to. At its end, what was written takes the file's place.

    Several processes may do so at a time, also on machines that share the disk. If the block raises, the file stays as
    it was. Raises OSError as replacing the file does.
    """
    unfinished = file.with_name(f".{file.name}.{platform.node()}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        with suppress(OSError):
            unfinished.unlink()
