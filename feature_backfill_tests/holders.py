"""Another process that has a DuckDB file open."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path, read_only: bool = False) -> Iterator[subprocess.Popen[str]]:
    """The process, which closes the file at the end of the block, or as soon as its stdin is closed."""
    with _open_in_another_process(path, read_only, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n", process.communicate()
        yield process


def another_process_can_write(path: Path) -> bool:
    """Whether another process can open the file for writing now."""
    with _open_in_another_process(path, read_only=False, stdin=subprocess.DEVNULL) as process:
        output, errors = process.communicate()
    assert output == "open\n" or "Could not set lock" in errors
    return output == "open\n"


def _open_in_another_process(path: Path, read_only: bool, stdin: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _HOLDER, str(path), str(read_only)]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
