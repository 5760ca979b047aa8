"""A cache built and looked at, for tests."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from hnp_pipeline.imaging.cache import ImageCache, build_cache
from hnp_pipeline.imaging.clahe import prepare
from hnp_pipeline.imaging.decoding import read_gray
from hnp_pipeline.study import Imaging

SETTINGS = Imaging(size=64)


def build(
    directory: Path, images: pa.Table, settings: Imaging = SETTINGS, how=build_cache
) -> tuple[int, int, int]:
    summary = how(directory, images, settings, 2)
    return summary.new, summary.kept, summary.dropped


def holds(directory: Path, images: pa.Table, settings: Imaging = SETTINGS) -> bool:
    """Whether the cache has just these images, every pixel right."""
    opened = ImageCache.open(directory, settings)
    rows = opened.position(images["sha256"])
    wanted = (prepare(read_gray(Path(path)), settings) for path in images["path"].to_pylist())
    right = (np.array_equal(opened.images[row], pixels) for row, pixels in zip(rows, wanted, strict=True))
    return len(opened) == len(images) == len(opened.images) and all(right)
