"""Images of different patients, or of the two splits, that are one picture re-encoded or resized: for review.

A picture's hash is the signs of its low frequencies (pHash: Zauner, Implementation and Benchmarking of Perceptual Image
Hash Functions, 2010), here 256 of them. Two hashes that differ in at most k of them agree wholly in one of any k + 1
parts, so only pictures that share a part are compared (multi-index hashing: Norouzi et al., CVPR 2012).
"""

from typing import Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hnp_pipeline.progress import Report, silent
from hnp_pipeline.schemas import Column

_SIDE = 16  # frequencies along each axis
_WORDS = _SIDE * _SIDE // 64

HASHES = [
    Column("sha256", pa.string(), "SHA-256 of the image file"),
    *(Column(f"hash{i}", pa.uint64(), "64 of the 256 bits of the perceptual hash; null: no structure") for i in range(_WORDS)),
]
NEAR_DUPLICATES = [
    Column("image_id", pa.string(), "an image"),
    Column("other_image_id", pa.string(), "an image of another patient or split that looks the same"),
    Column("split", pa.string(), "split of the first"),
    Column("other_split", pa.string(), "split of the other"),
    Column("distance", pa.int32(), "bits of 256 in which the perceptual hashes differ"),
]


class Images(Protocol):
    """Prepared images by position, as imaging's ImageStore."""

    def __len__(self) -> int: ...

    def gather(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """uint8 (batch, size, size)."""
        ...
