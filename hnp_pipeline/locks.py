"""Locks between processes, on one machine or on a shared disk that carries them. The kernel drops them with their process."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class BusyError(Exception):
    """Another process holds the lock; its number is the message."""


@contextmanager
def locked(
    path: Path,
    *,
    shared: bool = False,
    wait: bool = False,
    patience: float = 0.0,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold a lock that the kernel drops with its process, however that dies.

    Args:
        path: of the lock's file, which stays.
        shared: others may share it.
        wait: for another that holds it, however long.
        patience: seconds to wait for it otherwise.
        waiting: called once if it comes to that.

    Raises:
        BusyError: another process holds it, `wait` is false, and `patience` is over.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _taken(fd, kind, patience):
            if not wait:
                raise BusyError(os.pread(fd, 100, 0).decode())
            waiting()
            fcntl.flock(fd, kind)
        if not shared:
            with suppress(OSError):  # on a full disk it is held without a name
                os.ftruncate(fd, 0)
                os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)


def _taken(fd: int, kind: int, patience: float) -> bool:
    """Whether the lock could be had within so many seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)
