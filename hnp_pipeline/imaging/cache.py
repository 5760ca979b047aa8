"""Building the cache: every image once through decoding, CLAHE and resizing, kept as uint8 by its content.

`directory/<hash of the settings>/` holds `images.u8` (n × size × size bytes), `index.parquet` (which image is
where), `settings.yaml`, and `sheet.jpg` for people. The index is replaced, whole, after the pixels are on the
disk: to a reader the cache is complete or absent, whenever the builder is killed. What a killed builder has done
is in `progress.parquet`, and is gone on with. New images are appended. Where images are to go, the others move to
a new file and the old one is deleted, so that the pixels of a patient who withdrew are really gone, and readers of
the old file are not disturbed.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging.flushing import Flushing
from hnp_pipeline.imaging.listing import SETTINGS, CacheInfo, cache_info, folders, list_caches
from hnp_pipeline.imaging.shards import OnThreads, Shard, Spread
from hnp_pipeline.imaging.sheet import draw_sheet
from hnp_pipeline.imaging.store import SHEET, ImageCache, ImageStore, map_pixels
from hnp_pipeline.imaging.version import pixel_code
from hnp_pipeline.imaging.writer import CacheWriter
from hnp_pipeline.locks import locked
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.study import Imaging
from hnp_pipeline.tables import replacing, write_text

__all__ = [
    "CacheSummary",
    "ImageCache",
    "ImageStore",
    "build_cache",
    "forget_images",
    "mend_cache",
    "remove_old_caches",
]

_SECONDS_BETWEEN_SYNCS = 20.0  # the most work that a kill can cost


@dataclass(frozen=True)
class CacheSummary:
    """What a build did.

    Attributes:
        new: images computed.
        kept: images that were there.
        dropped: images no longer listed, or damaged, whose pixels were removed.
        inverted: films with a white background that were turned, of all that the cache now holds.
        seconds: the whole build by the clock.
        read_seconds: reading and hashing files, summed over threads; likewise the next three.
        decode_seconds: decoding.
        clahe_seconds: CLAHE and resizing.
        write_seconds: writing pixels and their checksums.
    """

    new: int
    kept: int
    dropped: int
    inverted: int
    seconds: float
    read_seconds: float = 0.0
    decode_seconds: float = 0.0
    clahe_seconds: float = 0.0
    write_seconds: float = 0.0


def build_cache(
    directory: Path,
    images: pa.Table,
    settings: Imaging,
    spread: Spread | int,
    report: Report = silent,
) -> CacheSummary:
    """Bring a collection's cache up to date: after it, it holds exactly `images`, made by today's code.

    Where other code made the pixels that are there, all are made anew, beside the old until they are done. Two
    builders of one collection queue. Images that are not listed also leave the collection's caches of other settings.

    Args:
        directory: the collection's caches, `home.cache(collection)`.
        images: columns sha256 and path; repeated content counts once. With size and mtime_ns, those of the file
            when it was hashed: a file that still has both is not hashed again, as intake does not.
        settings: what the cache is made with; other settings make another cache beside it.
        spread: where images are made: so many threads of this process, or another way to have shards made.
        report: told how many are done.

    Raises:
        StepError: a file is no longer what it was when it was inspected, or the disk is full or fails. What
            was committed before stays.
    """
    start = time.perf_counter()
    unique = _unique(images)
    with _building(directory, report):
        _forget_elsewhere(directory, settings, unique["sha256"])
        writer = CacheWriter(directory / settings.hash, settings.size)
        if not (writer.folder / SETTINGS).exists():
            write_text(yaml.safe_dump(settings.model_dump(mode="json")), writer.folder / SETTINGS)
        if writer.code != pixel_code():
            writer.begin_anew()
        dropped = _drop(writer, unique["sha256"])
        there = pc.is_in(unique["sha256"], writer.done["sha256"].combine_chunks())
        todo = unique.filter(pc.invert(there))
        return _complete(writer, todo, settings, spread, report, dropped, start)


def mend_cache(
    directory: Path, images: pa.Table, settings: Imaging, spread: Spread | int, report: Report = silent
) -> CacheSummary:
    """Check all pixels of a collection's cache against their checksums, and make the damaged ones anew.

    What the cache holds stays as it is, whoever adds to it meanwhile. `images` says where the pictures lie; those
    that the cache does not hold are left alone. Nothing where there is no finished cache.

    Raises:
        StepError: a damaged image's picture is gone or no longer what it was, other code made the cache, its index is
            damaged, or the disk is full or fails.
    """
    start = time.perf_counter()
    with _building(directory, report):
        if not (directory / settings.hash / "index.parquet").exists():
            return CacheSummary(0, 0, 0, 0, 0.0)
        writer = CacheWriter(directory / settings.hash, settings.size, go_on=False)
        if not writer.committed:
            raise StepError(
                f"the index of the image cache of collection {directory.name} is damaged: materialise clahe_cache again"
            )
        bad = writer.bad_rows()
        damaged = writer.done["sha256"].filter(pa.array(bad)).combine_chunks()
        todo = _unique(images.filter(pc.is_in(images["sha256"], damaged)))
        if todo.num_rows < len(damaged):
            raise StepError(
                f"{len(damaged)} images in the cache of collection {directory.name} are damaged, and the study no "
                f"longer names the pictures of {len(damaged) - todo.num_rows}: hnp run makes it anew"
            )
        if len(damaged) and writer.code != pixel_code():
            raise StepError(
                f"{len(damaged)} images in the cache of collection {directory.name} are damaged, and other code or "
                "another OpenCV made it: hnp run makes it anew"
            )
        if len(damaged):
            writer.keep(~bad)
        return _complete(writer, todo, settings, spread, report, len(damaged), start)


def forget_images(directory: Path, sha256: pa.Array) -> None:
    """Take these images out of all of a collection's caches, whatever their settings; their pixels are gone."""
    with _only_builder(directory):
        for info in map(cache_info, folders(directory)):
            if info.settings is not None:
                size = info.settings.size
                seen = CacheWriter(info.folder, size, go_on=False)
                if _without(seen, sha256):
                    seen.commit()  # and what a killed builder left is gone
                elif _without(CacheWriter(info.folder, size), sha256):
                    CacheWriter(info.folder, size)  # the pixels that it left


def _only_builder(directory: Path, report: Report = silent) -> AbstractContextManager[None]:
    """Hold the collection's lock."""
    told = "waiting: another process is building this image cache"
    return locked(directory / ".lock", wait=True, waiting=lambda: report(0.0, told))


@contextmanager
def _building(directory: Path, report: Report) -> Iterator[None]:
    """Hold the lock, and turn what the disk refuses into a message that says what to do."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _only_builder(directory, report):
            yield
    except OSError as error:
        raise StepError(
            f"the image cache of collection {directory.name} cannot be written in {directory} "
            f"({os.strerror(error.errno or errno.EIO)}): make room or mend it, and run again"
        ) from None


def _unique(images: pa.Table) -> pa.Table:
    """`images` by sha256: repeated content counts once."""
    first = [(column, "first") for column in images.column_names if column != "sha256"]
    unique = images.group_by("sha256", use_threads=False).aggregate(first)
    return unique.rename_columns(["sha256", *(column for column, _ in first)]).sort_by("sha256")


def _forget_elsewhere(directory: Path, settings: Imaging, listed: pa.ChunkedArray) -> None:
    """Take images that are no longer listed out of the caches of other settings."""
    for folder in folders(directory):
        if folder.name == settings.hash:
            continue
        info = cache_info(folder)
        writer = CacheWriter(info.folder, info.settings.size) if info.settings else None
        if writer is None or not writer.committed:  # never finished, or not ours to read
            shutil.rmtree(info.folder)
        elif _drop(writer, listed):
            writer.commit()


def _without(writer: CacheWriter, sha256: pa.Array) -> int:
    """Drop these images; returns how many went."""
    there = writer.done["sha256"]
    return _drop(writer, there.filter(pc.invert(pc.is_in(there, sha256))))


def _drop(writer: CacheWriter, listed: pa.ChunkedArray) -> int:
    """Keep only images that are listed; returns how many went."""
    good = pc.is_in(writer.done["sha256"], listed.combine_chunks()).to_numpy()
    if not good.all():
        writer.keep(good)
    return int(np.count_nonzero(~good))


def _complete(
    writer: CacheWriter,
    todo: pa.Table,
    settings: Imaging,
    spread: Spread | int,
    report: Report,
    dropped: int,
    start: float,
) -> CacheSummary:
    """Compute what is to do (columns as `images`), and show readers the cache."""
    kept = writer.done.num_rows
    spread = OnThreads(spread) if isinstance(spread, int) else spread
    seconds = _add(writer, todo, settings, spread, report) if todo.num_rows else np.zeros(4)
    _show(writer)
    inverted = pc.sum(writer.done["inverted"]).as_py() or 0
    took = time.perf_counter() - start
    return CacheSummary(todo.num_rows, kept, dropped, inverted, took, *(float(s) for s in seconds))


def _show(writer: CacheWriter) -> None:
    """Let readers see what is done, and people a sheet of it, which is drawn while the disk is at work."""
    wanted = writer.done.num_rows > 0 and not (writer.committed and (writer.folder / SHEET).exists())
    with ThreadPoolExecutor(1) as beside:
        sheet = beside.submit(draw_sheet, map_pixels(writer.folder, writer.done)) if wanted else None
        if not writer.committed:
            writer.commit()
        if sheet is not None:
            with replacing(writer.folder / SHEET) as temporary:
                temporary.write_bytes(sheet.result())


def _add(
    writer: CacheWriter, todo: pa.Table, settings: Imaging, spread: Spread, report: Report
) -> np.ndarray:
    """Compute images into the rows after those that are done; seconds by stage."""
    count, image_bytes = todo.num_rows, settings.size**2
    free = shutil.disk_usage(writer.folder).free
    if free < count * image_bytes:
        raise StepError(
            f"the image cache of {count:,} images needs {count * image_bytes / 1e9:,.1f} GB and "
            f"{free / 1e9:,.1f} GB are free in {writer.folder}: make room and run again"
        )
    shas, paths = todo["sha256"].to_pylist(), todo["path"].to_pylist()
    inspected = _inspected(todo)
    first, told, seconds, synced = writer.done.num_rows, 0, np.zeros(4), time.monotonic()

    def tell(images: int) -> None:
        nonlocal told
        told += images
        flushing.go_on()
        report(told / count, f"{told:,} of {count:,} images cached")

    with writer.appending() as file, Flushing(file) as flushing:
        shards = [
            Shard(shas[part], paths[part], inspected[part], writer.pixels, first + part.start, settings)
            for part in (slice(i, i + spread.images) for i in range(0, count, spread.images))
        ]
        for shard, made in zip(shards, spread(shards, tell), strict=True):
            seconds += made.seconds
            writer.append(shard.sha256, made.checksums, made.inverted)
            if time.monotonic() - synced > _SECONDS_BETWEEN_SYNCS:
                writer.save_progress(file)
                synced = time.monotonic()
    return seconds


def _inspected(images: pa.Table) -> list[tuple[int, int] | None]:
    """What each file was when it was hashed, where that is known."""
    if not {"size", "mtime_ns"} <= set(images.column_names):
        return [None] * images.num_rows
    return list(zip(images["size"].to_pylist(), images["mtime_ns"].to_pylist(), strict=True))


def remove_old_caches(root: Path, keep: str) -> list[CacheInfo]:
    """Delete the caches of other imaging settings than those with the hash `keep`; returns what went."""
    old = [info for info in list_caches(root) if info.hash != keep]
    for info in old:
        with _only_builder(info.folder.parent):
            shutil.rmtree(info.folder, ignore_errors=True)
    return old
