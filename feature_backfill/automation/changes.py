"""Detects changed files by size and modification time alone. No file is opened, so no lock can get in the way."""

from pathlib import Path

from feature_backfill.store.files import SUFFIXES


def database_state(path: Path) -> str:
    """A text that changes whenever a DuckDB file or its write-ahead log is written."""
    return f"{file_state(path)} {file_state(path.with_name(f'{path.name}.wal'))}"


def folder_state(folder: Path) -> dict[str, str]:
    """The state of each file in a folder that can be imported, by file name. Empty if the folder does not exist."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES) and path.is_file())
    return {path.name: file_state(path) for path in files}


def file_state(path: Path) -> str:
    """Size and modification time of a file; "none" if it does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "none"
    return f"{status.st_size} {status.st_mtime_ns}"
