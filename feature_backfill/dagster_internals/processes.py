"""Whether the process that once had a pid still exists, although pids are used again and clocks jump.

A process that has the pid now is the same one if it had started by then. Its start is known in seconds since boot,
which no clock changes. The moment in question is known by the clock of that moment. The two are compared through the
time of the boot, which moves with the clock, so the caller says which boot time goes with that moment.
"""

from pathlib import Path
from typing import NamedTuple

import psutil

CLOCK_TOLERANCE_S = 60.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Boot(NamedTuple):
    """A boot of this machine. id: "" where the system gives none, as only Linux does; time: seconds since 1970."""

    id: str
    time: float


def this_boot() -> Boot:
    """The machine's last boot, by the clock of now."""
    return Boot(BOOT_ID.read_text().strip() if BOOT_ID.exists() else "", psutil.boot_time())


def process_exists(pid: int, at: float, booted: float) -> bool:
    """Whether the process that had a pid at a time exists; True if nothing shows it.

    at, and booted, the time of the machine's boot: seconds since 1970, by one clock.
    """
    try:
        process = psutil.Process(pid)
        since_boot = process.create_time() - psutil.boot_time()  # psutil adds the boot time of now
        return process.status() != psutil.STATUS_ZOMBIE and booted + since_boot <= at + CLOCK_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
