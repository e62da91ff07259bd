"""What became of processes."""

from collections.abc import Iterable

import psutil


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that go on. One that has ended and waits for its parent to notice does not."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
