"""A full disk, imitated by a limit on the size of files: it works everywhere, and fails the same writes."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_room(size: int = 0, deadly: bool = False) -> Iterator[None]:
    """In this process, no file can grow beyond `size` bytes.

    The write that would make it grow fails; if deadly, it kills the process in the middle.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
