"""Opening a file that may be anything: a pipe does not block, a device is not read."""

import os
import stat
from io import FileIO

from hnp_pipeline.imaging.formats import UnreadableImageError, sniff


def open_regular(path: str | os.PathLike[str], follow: bool = True) -> FileIO:
    """A regular file, to read; `follow` says whether a link may stand in its place.

    Raises:
        UnreadableImageError: a folder, pipe, socket or device.
        OSError: it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        require_regular(os.fstat(descriptor))
    except UnreadableImageError:
        os.close(descriptor)
        raise
    return FileIO(descriptor)


def read_picture(file: FileIO, maximum_pixels: int) -> bytes:
    """A whole file that begins as a picture does: a film or an archive by a wrong name is not read.

    Raises:
        UnreadableImageError: of no format that is read, or too large for one picture of `maximum_pixels`.
        OSError: the disk fails.
    """
    start = file.read(4096)
    sniff(start)
    size = os.fstat(file.fileno()).st_size
    if size > 8 * maximum_pixels + 2**20:
        raise UnreadableImageError(f"{size / 1e6:,.0f} MB are too much for one picture")
    return start + file.readall()


def require_regular(status: os.stat_result) -> None:
    """Refuse what is not a regular file.

    Raises:
        UnreadableImageError: a folder, pipe, socket or device.
    """
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("not a file")
