"""Reading the cache: a memory map of uint8 images, gathered a batch at a time, with nothing to decode."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hnp_pipeline import schemas
from hnp_pipeline.errors import StepError
from hnp_pipeline.study import Imaging
from hnp_pipeline.tables import content_hash, read_table

# What stands beside the pixels: index.parquet. Its metadata name the file of the pixels, their size, and the code
# that made them (`version.pixel_code`).
INDEX = [
    schemas.Column("sha256", schemas.TEXT, "SHA-256 of the image file that the pixels were made from"),
    schemas.Column("row", schemas.LONG, "place in the file of pixels"),
    schemas.Column("checksum", schemas.LONG, "CRC-32 of the pixels"),
    schemas.Column("inverted", schemas.FLAG, "the film had a white background and was turned"),
]
SHEET = "sheet.jpg"  # some of the pictures, beside them, for a person to look at


class ImageCache:
    """The cached images of one collection under one setting: complete, or not to be opened.

    Attributes:
        images: memory map, uint8 (n, size, size).
        checksums: (n,) CRC-32 of each.
    """

    def __init__(self, images: np.memmap | np.ndarray, index: pa.Table, collection: str) -> None:
        keys = _keys(index["sha256"])
        order = np.argsort(keys)
        self.images = images
        self.collection = collection
        self._keys, self._rows = keys[order], index["row"].to_numpy()[order]
        self.checksums = index["checksum"].to_numpy()

    @classmethod
    def open(cls, directory: Path, settings: Imaging) -> "ImageCache":
        """Map the cache of a collection (`home.cache(collection)`) that was built with these settings.

        Raises:
            StepError: there is no such cache yet, or it is damaged.
        """
        folder, again = (
            directory / settings.hash,
            f"build the image cache of collection {directory.name} again",
        )
        for attempt in (1, 2, 3):
            try:
                index = read_index(folder / "index.parquet")
                return cls(map_pixels(folder, index), index, directory.name)
            except FileNotFoundError:  # replaced between two looks: look again
                if attempt == 3:
                    raise StepError(
                        f"collection {directory.name} has no image cache with these settings"
                    ) from None
            except UNUSABLE:
                raise StepError(
                    f"the image cache of collection {directory.name} is damaged: {again}"
                ) from None
        raise AssertionError

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, sha256: str) -> bool:
        return bool(self.find([sha256])[0] >= 0)

    def find(self, sha256: pa.Array | pa.ChunkedArray | Iterable[str]) -> npt.NDArray[np.int64]:
        """Rows in `images`; -1 where an image is not in this cache."""
        keys = _keys(sha256)
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._rows[at], -1)

    def position(self, sha256: pa.Array | pa.ChunkedArray | Iterable[str]) -> npt.NDArray[np.int64]:
        """Rows in `images`.

        Raises:
            StepError: an image is not in this cache.
        """
        rows = self.find(sha256)
        _all_there(rows, [self])
        return rows


class ImageStore:
    """Images out of several caches, in the order that is asked for.

    Args:
        caches: of one size.
        sha256: which images; item i of the store is the i-th of these.

    Raises:
        StepError: an image is in none of the caches, or they differ in size.
    """

    def __init__(
        self, caches: Sequence[ImageCache], sha256: pa.Array | pa.ChunkedArray | Iterable[str]
    ) -> None:
        keys = _keys(sha256)
        if len({cache.images.shape[1:] for cache in caches}) > 1:
            raise StepError("the image caches differ in size: build them again with one setting")
        self.shape = caches[0].images.shape[1:] if caches else (0, 0)
        # A plain array over each map: NumPy's subclass for maps is slow to index.
        self._images = [np.asarray(cache.images) for cache in caches]
        self._sha256, self._checksums = keys, [cache.checksums for cache in caches]
        self._cache, self._rows = np.zeros(len(keys), np.int64), np.full(len(keys), -1, np.int64)
        for number, cache in enumerate(caches):
            missing = np.flatnonzero(self._rows < 0)
            self._rows[missing], self._cache[missing] = cache.find(keys[missing]), number
        _all_there(self._rows, caches)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def content(self) -> str:
        """A hash (16 hex digits) of which images these are and of all their pixels, whatever the order."""
        checksums = np.zeros(len(self), np.int64)
        for number, of_cache in enumerate(self._checksums):
            here = self._cache == number
            checksums[here] = of_cache[self._rows[here]]
        table = pa.table({"sha256": pa.array(self._sha256.astype(str)), "checksum": checksums})
        return content_hash(table.sort_by("sha256"))

    def gather(self, indices: npt.ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
        """The images at `indices` (b): uint8 (b, size, size), in `out` if given.

        Raises:
            IndexError: an index is out of range.
        """
        indices = np.asarray(indices, np.int64)
        caches, rows = self._cache[indices], self._rows[indices]
        if out is None:
            out = np.empty((len(rows), *self.shape), np.uint8)
        for place, (cache, row) in enumerate(zip(caches.tolist(), rows.tolist(), strict=True)):
            out[place] = self._images[cache][row]
        return out


# What an index that is damaged, or none of ours, makes of its reader.
UNUSABLE = (StepError, OSError, KeyError, ValueError)


def read_index(path: Path) -> pa.Table:
    """An index with its metadata.

    Raises:
        FileNotFoundError: there is none.
        one of UNUSABLE: it is damaged.
    """
    index = read_table(path)
    metadata = index.schema.metadata or {}
    if not re.fullmatch(rb"images(-\d+)?\.u8", metadata[b"pixels"]):
        raise ValueError("not an index of a cache")
    return index.select([c.name for c in INDEX]).replace_schema_metadata(
        {
            "pixels": metadata[b"pixels"],
            "size": str(int(metadata[b"size"])),
            "code": metadata.get(b"code", b""),
        }
    )


def map_pixels(folder: Path, index: pa.Table) -> np.memmap | np.ndarray:
    """The pixels that `index` speaks of, read-only.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too short.
    """
    size, count = int(index.schema.metadata[b"size"]), index.num_rows
    if not count:  # an empty file cannot be mapped
        return np.empty((0, size, size), np.uint8)
    return np.memmap(
        folder / index.schema.metadata[b"pixels"].decode(), np.uint8, "r", shape=(count, size, size)
    )


def _keys(sha256: pa.Array | pa.ChunkedArray | Iterable[str]) -> np.ndarray:
    """Hashes as fixed-width bytes, which NumPy sorts and compares whole."""
    if isinstance(sha256, np.ndarray) and sha256.dtype == "S64":
        return sha256
    return np.array(sha256.to_pylist() if hasattr(sha256, "to_pylist") else list(sha256), "S64")


def _all_there(rows: np.ndarray, caches: Sequence[ImageCache]) -> None:
    missing = int(np.count_nonzero(rows < 0))
    if missing:
        names = ", ".join(cache.collection for cache in caches) or "no collection"
        raise StepError(
            f"{missing:,} of {len(rows):,} images are not in the image cache ({names}): build it again"
        )
