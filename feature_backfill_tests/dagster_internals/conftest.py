import os
from pathlib import Path

import psutil
import pytest

from feature_backfill.dagster_internals import processes


class Kernel:
    """What Linux shows of this process and of its boot, as if the clock had been set, or the machine booted again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self._booted = psutil.boot_time()
        self._folder = folder
        (folder / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(folder))
        monkeypatch.setattr(processes, "BOOT_ID", folder / "boot_id")
        self.show(0)

    def show(self, shift: float, boot_id: str = "this boot") -> None:
        """Have the machine booted so many seconds later than it did."""
        (self._folder / "stat").write_text(f"btime {self._booted + shift:.0f}\n")
        (self._folder / "boot_id").write_text(f"{boot_id}\n")


@pytest.fixture
def kernel(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    if not psutil.LINUX:
        pytest.skip("what is shown here is Linux's /proc")
    return Kernel(tmp_path_factory.mktemp("proc"), monkeypatch)
