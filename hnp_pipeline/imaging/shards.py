"""Images made ready for the cache, a shard at a time: by this machine's threads, or wherever a shard is sent."""

import errno
import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging.clahe import prepare_and_tell, reduction
from hnp_pipeline.imaging.decoding import decode_gray
from hnp_pipeline.imaging.files import open_regular
from hnp_pipeline.imaging.formats import UnreadableImageError, read_header
from hnp_pipeline.study import Imaging


@dataclass(frozen=True)
class Shard:
    """Images whose pixels lie one after the other.

    Attributes:
        sha256: of each file, n.
        paths: of each file, n.
        inspected: size in bytes and time of change in ns of each file when it was hashed, n; None where unknown.
        pixels: the file that takes them, which is there.
        row: where in it the first image goes, counted in images.
        settings: what they are made with.
    """

    sha256: list[str]
    paths: list[str]
    inspected: list[tuple[int, int] | None]
    pixels: Path
    row: int
    settings: Imaging


class Made(NamedTuple):
    """A shard's pixels are written.

    Attributes:
        checksums: uint32, n: CRC-32 of each image's pixels.
        inverted: bool, n: films with a white background that were turned.
        seconds: float, 4: reading, decoding, CLAHE, writing; summed over threads.
    """

    checksums: np.ndarray
    inverted: np.ndarray
    seconds: np.ndarray


class Spread(Protocol):
    """A way to have shards made."""

    @property
    def images(self) -> int:
        """In a shard, at most."""

    def __call__(self, shards: Sequence[Shard], tell: Callable[[int], None]) -> Iterator[Made]:
        """What became of each shard, in their order; `tell` hears of every few images that are made.

        Raises:
            StepError: as `make_shard`.
        """


@dataclass(frozen=True)
class OnThreads:
    """Here, one shard after the other, with so many threads."""

    threads: int

    @property
    def images(self) -> int:
        """In a shard: few enough that progress is saved often."""
        return 64 * max(4, self.threads)

    def __call__(self, shards: Sequence[Shard], tell: Callable[[int], None]) -> Iterator[Made]:
        """Each shard as `make_shard`."""
        return (make_shard(shard, self.threads, tell) for shard in shards)


def make_shard(shard: Shard, threads: int, tell: Callable[[int], None] | None = None) -> Made:
    """Compute a shard's images and write their pixels where they belong.

    Twice is as good as once: a shard whose maker died is simply made again.

    Raises:
        StepError: a file is no longer what it was when it was inspected.
        OSError: the pixels cannot be written.
    """
    _keep_freed_memory()
    size = shard.settings.size**2
    descriptor = os.open(shard.pixels, os.O_RDWR | os.O_CLOEXEC)

    def make(i: int) -> _MadeImage:
        data = shard.sha256[i], Path(shard.paths[i]), shard.inspected[i]
        return _make(*data, shard.settings, descriptor, (shard.row + i) * size)

    made = []
    try:
        with _opencv_of_one_thread(), ThreadPoolExecutor(max(1, threads)) as pool:
            for one in pool.map(make, range(len(shard.paths))):
                made.append(one)
                if tell is not None:
                    tell(1)
    finally:
        os.close(descriptor)
    return Made(
        np.array([one.checksum for one in made], np.uint32),
        np.array([one.inverted for one in made], bool),
        np.sum([one.seconds for one in made], axis=0),
    )


class _MadeImage(NamedTuple):
    checksum: int
    inverted: bool
    seconds: tuple[float, float, float, float]  # read, decode, CLAHE, write


def _make(
    sha256: str,
    path: Path,
    inspected: tuple[int, int] | None,
    settings: Imaging,
    pixels_file: int,
    offset: int,
) -> _MadeImage:
    """One image from its file to its place among the pixels; hashed, unless nothing says that it may have changed."""
    times = [time.perf_counter()]
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            data = file.readall()
        same = inspected == (status.st_size, status.st_mtime_ns) and len(data) == status.st_size
        if not same and hashlib.sha256(data).hexdigest() != sha256:
            raise UnreadableImageError("changed since it was inspected")
        times.append(time.perf_counter())
        header = read_header(data, maximum_pixels=2**40)  # the limit was intake's to ask
        gray = decode_gray(data, header, reduction(header.width, header.height, settings))
    except (UnreadableImageError, OSError) as error:
        why = str(error) if isinstance(error, UnreadableImageError) else os.strerror(error.errno or errno.EIO)
        raise StepError(
            f"the image with SHA-256 {sha256[:12]}… cannot be cached ({why}): run again"
        ) from None
    times.append(time.perf_counter())
    pixels, inverted = prepare_and_tell(gray, settings)
    times.append(time.perf_counter())
    view = memoryview(pixels.data).cast("B")
    checksum = zlib.crc32(view)
    while view:  # a map would die of a full disk; this says so
        done = os.pwrite(pixels_file, view, offset)
        view, offset = view[done:], offset + done
    times.append(time.perf_counter())
    begun, read, decoded, prepared, written = times
    seconds = (read - begun, decoded - read, prepared - decoded, written - prepared)
    return _MadeImage(checksum, inverted, seconds)


def _keep_freed_memory() -> None:
    """Have glibc keep up to 60 MB that a thread frees for its next picture.

    Else it gives them back to the kernel, which clears as much anew for each picture: 10 % of all where CLAHE comes
    after resizing. A large block that is freed raises that limit for the process (mallopt(3), M_MMAP_THRESHOLD);
    nobody writes to the block, so it costs nothing.
    """
    np.empty(30 * 2**20, np.uint8)


@contextmanager
def _opencv_of_one_thread() -> Iterator[None]:
    """A thread an image scales with the cores (1.94 with 2); OpenCV's own threads do not (1.38)."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
