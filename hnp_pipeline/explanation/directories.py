"""A folder of files written whole: the old one or the new one is there, whenever the process is killed."""

import ctypes
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hnp_pipeline.tables import sync_directory, writing


@contextmanager
def replacing_directory(directory: Path) -> Iterator[Path]:
    """An empty folder beside `directory`: when the body succeeds it takes its place, else it is removed.

    Where the system cannot exchange two folders in one step (other than Linux, some network disks) there is a
    moment without one. What a killed process left beside, `leftovers.sweep` finds by the name.

    Raises:
        StepError: the disk is full, or the folder may not be written.
    """
    made_by = f"{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    temporary = directory.with_name(f".{directory.name}.{made_by}")
    with writing(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(mode=0o700)
        try:
            yield temporary
            sync_directory(temporary)
            if not _exchange(temporary, directory):
                old = directory.with_name(f".{directory.name}-old.{made_by}")
                if directory.exists():
                    directory.rename(old)
                temporary.rename(directory)
                shutil.rmtree(old, ignore_errors=True)
            sync_directory(directory.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # after an exchange: the old one


def write_bytes(path: Path, content: Any) -> None:
    """Write and sync a file that only the owner may read: pictures of patients."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two folders in one step (Linux, renameat2); False where the system cannot, or one is not there."""
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return renameat2(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0
