"""Detects changed files by size and modification time alone. No file is opened, so no lock can get in the way.
A lake, which has no such lock, is asked for its newest snapshot.

What a sensor remembers of files goes into its cursor, which Dagster stores at each tick and shows in its UI. So it is
a few hundred characters at most, however many files there are.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from feature_backfill.config import Lake
from feature_backfill.store.files import SUFFIXES
from feature_backfill.store.targets import newest_snapshot

RECENT = 20
"""So many files of a folder, those modified last, are remembered one by one."""

NO_FILE = "none"


def digest(*texts: str) -> str:
    """16 characters that change with the texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


class KnownFiles(BaseModel):
    """Files of a folder, each in the state in which it was last seen.

    recent: a digest of each of the files modified last, at most RECENT. until: when the newest of the others was
    modified, in ns since 1970. others: one digest of all of these.
    """

    recent: list[str] = []
    until: int = 0
    others: str = ""

    @classmethod
    def of(cls, files: Mapping[str, str]) -> "KnownFiles":
        """Remember files, given as folder_state gives them."""
        until = max(sorted(map(_modified, files.values()))[:-RECENT], default=0)
        recent, others = _split(files, until)
        return cls(recent=sorted(_digests(recent)), until=until, others=digest(*_digests(others)))

    def changed(self, files: Mapping[str, str]) -> dict[str, str]:
        """Those of the files that are new or were changed.

        If one of the others was changed, removed, or came with an old modification time, these are all the others.
        """
        recent, others = _split(files, self.until)
        same = digest(*_digests(others)) == self.others or not others
        known = set(self.recent)
        changed = {name: state for name, state in recent.items() if digest(name, state) not in known}
        return changed if same else {**others, **changed}


def target_state(target: Path | Lake) -> str:
    """A text that changes whenever something is written into a target. Raises UserError if a lake cannot be asked."""
    return newest_snapshot(target) if isinstance(target, Lake) else database_state(target)


def database_state(path: Path) -> str:
    """A text that changes whenever a DuckDB file or its write-ahead log is written."""
    return f"{file_state(path)} {file_state(path.with_name(f'{path.name}.wal'))}"


def folder_state(folder: Path) -> dict[str, str]:
    """The state of each file in a folder that can be imported, by file name. Empty if the folder does not exist."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES) and path.is_file())
    states = {path.name: file_state(path) for path in files}
    return {name: state for name, state in states.items() if state != NO_FILE}


def file_state(path: Path) -> str:
    """Size and modification time of a file, in bytes and in ns since 1970; NO_FILE if it does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return NO_FILE
    return f"{status.st_size} {status.st_mtime_ns}"


def _modified(state: str) -> int:
    return int(state.split()[1])


def _split(files: Mapping[str, str], until: int) -> tuple[dict[str, str], dict[str, str]]:
    """The files that were modified after a time, and the others."""
    recent = {name: state for name, state in files.items() if _modified(state) > until}
    return recent, {name: state for name, state in files.items() if name not in recent}


def _digests(files: Mapping[str, str]) -> list[str]:
    return [digest(name, state) for name, state in sorted(files.items())]
