"""Which of the files that a table names are pictures that can be used, and what is in them.

Each file is read once: size, time of change, hash and whether it decodes come from the same bytes. What was
seen before with the same size and time of change is not read again.
"""

# ruff: noqa: PTH116, PTH117, PTH118 - os.path takes a tenth of pathlib's time, and there are 180,000 files
import errno
import hashlib
import os
import stat
from functools import lru_cache
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline import schemas
from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging.decoding import decode_gray
from hnp_pipeline.imaging.files import open_regular, read_picture, require_regular
from hnp_pipeline.imaging.formats import UnreadableImageError, read_header
from hnp_pipeline.progress import Report, silent

_GROUP = 32  # files that a thread takes at once

INSPECTED = [
    schemas.Column("file", schemas.TEXT, "as the table names it, relative to the folder; private"),
    schemas.Column("size", schemas.LONG, "bytes; null where there is no file"),
    schemas.Column("mtime_ns", schemas.LONG, "time of last change; null where there is no file"),
    schemas.Column("sha256", schemas.TEXT, "SHA-256 of the image file; null if it cannot be used"),
    schemas.Column("width", schemas.INT, "pixels, upright; null if it cannot be used"),
    schemas.Column("height", schemas.INT, "pixels, upright; null if it cannot be used"),
    schemas.Column("unreadable", schemas.TEXT, "why it cannot be used, without any name; null if it can"),
]


def inspect_files(
    folder: Path,
    files: pa.Array | pa.ChunkedArray,
    known: pa.Table | None,
    maximum_pixels: int,
    threads: int,
    report: Report = silent,
) -> pa.Table:
    """One row (`INSPECTED`) a distinct file, in the order of their first mention.

    Args:
        folder: what `files` are relative to; nothing outside it is opened, by whatever path or link.
        files: names, as the table gives them; nulls are left out.
        known: the last result. A usable file of the same size and time of change is taken from it unread.
            None reads everything.
        maximum_pixels: a picture declared larger is not decoded.
        threads: files looked at side by side.
        report: told how many are done.

    Raises:
        StepError: the folder has vanished, or the disk fails (an absent or damaged file is a row, no error).
    """
    names = pc.unique(files.drop_null()).to_pylist()
    try:
        look = _Inspector(
            os.path.realpath(folder, strict=True), _usable(known, maximum_pixels), maximum_pixels
        )
        found: list[_Row] = []
        with ThreadPool(max(1, threads)) as pool:
            # handing names over one by one costs more than looking up a file that is known
            groups = [names[i : i + _GROUP] for i in range(0, len(names), _GROUP)]
            for rows in pool.imap(lambda group: [look(name) for name in group], groups):
                found += rows
                report(len(found) / len(names), f"{len(found):,} of {len(names):,} pictures looked at")
    except OSError as error:
        raise StepError(
            f"the pictures of collection {folder.name} cannot be read "
            f"({os.strerror(error.errno or errno.EIO)}): mend the disk or the connection and run again"
        ) from None
    columns = list(zip(*found, strict=True)) or [()] * len(_Row._fields)
    arrays = [pa.array(v, c.type) for v, c in zip([names, *columns], INSPECTED, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schemas.schema(INSPECTED))


class _Row(NamedTuple):
    """`INSPECTED` without the file."""

    size: int | None = None
    mtime_ns: int | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    unreadable: str | None = None


def _usable(known: pa.Table | None, maximum_pixels: int) -> dict[str, _Row]:
    """What need not be read again. Unreadable files are: a limit or a permission may have changed."""
    if known is None:
        return {}
    pixels = pc.multiply(known["width"].cast(pa.int64()), known["height"].cast(pa.int64()))
    kept = known.filter(pc.and_(pc.is_null(known["unreadable"]), pc.less_equal(pixels, maximum_pixels)))
    columns = (kept[name].to_pylist() for name in _Row._fields)
    return dict(zip(kept["file"].to_pylist(), map(_Row, *columns), strict=True))


class _Inspector:
    """Looks at one file after another, from any thread."""

    def __init__(self, root: str, known: dict[str, _Row], maximum_pixels: int) -> None:
        self._root, self._known, self._maximum_pixels = root, known, maximum_pixels
        self._resolve = lru_cache(maxsize=4096)(lambda parent: os.path.realpath(parent, strict=True))

    def __call__(self, name: str) -> _Row:
        try:
            path, status = self._locate(name)
            before = self._known.get(name)
            if before is not None and (before.size, before.mtime_ns) == (status.st_size, status.st_mtime_ns):
                return before
            return self._read(path)
        except UnreadableImageError as error:
            return _Row(unreadable=str(error))
        except ValueError:  # a name with a NUL or half a character
            return _Row(unreadable="no such file")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
                return _Row(unreadable="no such file")
            if error.errno in (errno.EACCES, errno.EPERM):
                return _Row(unreadable="no permission to read the file")
            raise

    def _locate(self, name: str) -> tuple[str, os.stat_result]:
        """The regular file itself, inside the folder, past all links."""
        if os.path.isabs(name):
            raise UnreadableImageError("outside the collection's folder")
        parent, base = os.path.split(os.path.join(self._root, name))
        path = os.path.join(self._inside(self._resolve(parent)), base)
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode) or base == "..":
            path = self._inside(os.path.realpath(path, strict=True))
            status = os.stat(path)
        require_regular(status)
        return path, status

    def _inside(self, path: str) -> str:
        if path != self._root and not path.startswith(self._root.rstrip(os.sep) + os.sep):
            raise UnreadableImageError("outside the collection's folder")
        return path

    def _read(self, path: str) -> _Row:
        with open_regular(path, follow=False) as file:
            status = os.fstat(file.fileno())
            size, changed = status.st_size, status.st_mtime_ns
            try:
                data = read_picture(file, self._maximum_pixels)
                header = read_header(data, self._maximum_pixels)
                # All of it, by the cache's own decoder; at an eighth of the size for half of the time.
                decode_gray(data, header, reduction=8)
            except UnreadableImageError as error:
                return _Row(size, changed, unreadable=str(error))
        width, height = header.width, header.height
        if header.orientation >= 5:
            width, height = height, width
        return _Row(size, changed, hashlib.sha256(data).hexdigest(), width, height)
