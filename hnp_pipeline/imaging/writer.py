"""A cache under its builder's hands: pixels, index, progress, and what is left after a kill."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas
from hnp_pipeline.imaging.store import INDEX, SHEET, UNUSABLE, map_pixels, read_index
from hnp_pipeline.imaging.version import pixel_code
from hnp_pipeline.tables import sync_directory, write_table


class CacheWriter:
    """The one process that changes a cache; readers never see what it has not committed.

    Rows that an index names are never written again in place. Pixels that are damaged, or must go, make a new
    generation of the file (`images.u8`, `images-1.u8`, …), which the next index names.

    Attributes:
        done: `INDEX` of the images whose pixels are on the disk, rows 0 to n - 1 in order.
        committed: readers see just these.
        code: what made their pixels (`version.pixel_code`).
    """

    def __init__(self, folder: Path, size: int, go_on: bool = True) -> None:
        """Find what is there: what readers see, or, to `go_on` with, what a killed builder has left beyond it."""
        self.folder, self.size = folder, size
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        index, progress = self._read("index"), self._read("progress")
        there = [table for table in (index, progress) if table is not None]
        if index is not None or not (folder / "index.parquet").exists():
            self._remove_files(keep={_pixels(table) for table in there})  # a killed compaction's
        found = there if go_on else there[: index is not None]
        if found:
            self.done = max(found, key=lambda table: (_generation(_pixels(table)), table.num_rows))
            self.committed, self.code = self.done is index, str(self.done.schema.metadata[b"code"].decode())
            self._keep_whole_rows()
        else:
            self.begin_anew()

    @property
    def pixels(self) -> Path:
        """The file of the pixels."""
        return self.folder / _pixels(self.done)

    def bad_rows(self) -> np.ndarray:
        """Which rows (bool, n) no longer have the checksum that they were written with."""
        images, expected = map_pixels(self.folder, self.done), self.done["checksum"].to_numpy()
        found = np.fromiter((zlib.crc32(image) for image in images), np.int64, len(expected))
        return found != expected

    def begin_anew(self) -> None:
        """Nothing is done yet, by today's code. Readers keep what they have until the next `commit`."""
        self.code, self.committed = pixel_code(), False
        self.done = self._table(schemas.empty(INDEX), self._next_generation())

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these rows (bool, n) only, in a new generation of the file."""
        kept = self.done.filter(pa.array(rows))
        kept = kept.set_column(1, INDEX[1].name, pa.array(np.arange(len(kept))))
        kept = self._table(kept, self._next_generation())
        size = self.size**2
        with self.appending() as source, (self.folder / _pixels(kept)).open("wb") as file:
            for row in np.flatnonzero(rows).tolist():
                file.write(os.pread(source, size, row * size))
            file.flush()
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
        (self.folder / SHEET).unlink(missing_ok=True)  # it may show one that goes
        self.done, self.committed = kept, False
        self._write("progress")

    @contextmanager
    def appending(self) -> Iterator[int]:
        """A descriptor to write pixels to, from row `len(done)` on, from any thread."""
        descriptor = os.open(self.pixels, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def append(self, sha256: list[str], checksums: np.ndarray, inverted: np.ndarray) -> None:
        """Note images whose pixels were written to the next rows."""
        rows = np.arange(self.done.num_rows, self.done.num_rows + len(sha256))
        new = pa.table(
            [pa.array(sha256, pa.string()), rows, checksums, inverted], schemas.schema(INDEX).names
        )
        new = new.cast(schemas.schema(INDEX)).replace_schema_metadata(self.done.schema.metadata)
        self.done, self.committed = pa.concat_tables([self.done, new]), False

    def save_progress(self, descriptor: int) -> None:
        """Let a builder that comes after a kill go on from here."""
        os.fsync(descriptor)
        self._write("progress")

    def commit(self) -> None:
        """Show readers what is done, and remove what is no longer part of it."""
        with self.appending() as descriptor:
            os.ftruncate(descriptor, self.done.num_rows * self.size**2)
            os.fsync(descriptor)
        sync_directory(self.folder)
        self._write("index")
        self.committed = True
        (self.folder / "progress.parquet").unlink(missing_ok=True)
        self._remove_files(keep={self.pixels.name})

    def _read(self, name: str) -> pa.Table | None:
        try:
            index = read_index(self.folder / f"{name}.parquet")
        except UNUSABLE:
            return None
        return index if int(index.schema.metadata[b"size"]) == self.size else None

    def _write(self, name: str) -> None:
        write_table(self.done, self.folder / f"{name}.parquet")

    def _keep_whole_rows(self) -> None:
        """A file that was cut short loses its last rows."""
        try:
            whole = self.pixels.stat().st_size // self.size**2
        except FileNotFoundError:
            whole = 0
        if whole < self.done.num_rows:
            self.keep(np.arange(self.done.num_rows) < whole)

    def _table(self, rows: pa.Table, pixels: str) -> pa.Table:
        return rows.cast(schemas.schema(INDEX)).replace_schema_metadata(
            {"pixels": pixels, "size": str(self.size), "code": self.code}
        )

    def _next_generation(self) -> str:
        there = [_generation(path.name) for path in self.folder.glob("images*.u8")]
        return f"images-{max(there) + 1}.u8" if there else "images.u8"

    def _remove_files(self, keep: set[str]) -> None:
        for path in [*self.folder.glob("images*.u8"), *self.folder.glob(".*.tmp")]:
            if path.name not in keep:
                path.unlink()


def _pixels(index: pa.Table) -> str:
    return str(index.schema.metadata[b"pixels"].decode())


def _generation(pixels: str) -> int:
    return int(pixels.removeprefix("images").removesuffix(".u8").removeprefix("-") or 0)
