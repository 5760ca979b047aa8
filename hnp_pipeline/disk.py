"""Errors of the disk in words: which file, what the system says, what to do."""

import os
import traceback
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, EROFS
from pathlib import Path

_ROOM, _RIGHT, _SOUND, _COPY = (
    "make room, and run again",
    "let this user write there, and run again",
    "look after the disk, and run again",
    "a database of Dagster or MLflow in it is damaged: bring it back from a copy",
)
_REMEDIES = {
    **{os.strerror(code): _ROOM for code in (ENOSPC, EDQUOT, EFBIG)},
    **{os.strerror(code): _RIGHT for code in (EACCES, EPERM, EROFS)},
    os.strerror(EIO): _SOUND,
    # SQLite's words: of the storage of Dagster and of MLflow
    "database or disk is full": _ROOM,
    "attempt to write a readonly database": _RIGHT,
    "unable to open database file": f"{_ROOM[:9]}, or {_RIGHT}",
    "file is not a database": _COPY,
    "database disk image is malformed": _COPY,
    "disk I/O error": f"{_ROOM[:9]}, or {_SOUND}",
}


def reason(error: BaseException | str) -> str | None:
    """What the system said, if this error, or one behind it, is the disk's; else None."""
    if isinstance(error, OSError) and error.errno and os.strerror(error.errno) in _REMEDIES:
        return os.strerror(error.errno)
    text = error if isinstance(error, str) else "".join(traceback.format_exception_only(error))
    if found := next((words for words in _REMEDIES if words.lower() in text.lower()), None):
        return found
    behind = None if isinstance(error, str) else error.__cause__ or error.__context__
    return reason(behind) if behind else None


def told(error: BaseException | str, place: Path) -> str | None:
    """One line that says what cannot be written and what to do, if the error is the disk's.

    Args:
        error: what was raised, or its text.
        place: the file that was being written, or the folder that it lies in; then a name within the error, if it
            is of that folder, goes before it. Other names are not told: raw files are named after patients.
    """
    found = reason(error)
    if found is None:
        return None
    return f"{_named(error, place) or place} cannot be written ({found}): {_REMEDIES[found]}"


def _named(error: BaseException | str, place: Path) -> Path | None:
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes | os.PathLike):
        name = Path(os.fsdecode(error.filename))
        return name if name.is_relative_to(place) else None
    return None
