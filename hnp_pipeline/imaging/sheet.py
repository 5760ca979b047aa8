"""A few pictures of a cache on one sheet, for a person to see what the networks will see."""

from pathlib import Path

import cv2
import numpy as np

from hnp_pipeline.imaging.store import SHEET, ImageCache
from hnp_pipeline.tables import replacing

_COLUMNS, _ROWS = 5, 2


def write_sheet(cache: ImageCache, folder: Path) -> None:
    """Write ten pictures, evenly out of the whole cache, into its folder as one JPEG; nothing where it holds none.

    The sheet goes with the first picture that leaves the cache (`CacheWriter.keep`), until it is written again.
    """
    if not len(cache):
        return
    shown = _COLUMNS * _ROWS
    chosen = np.unique(np.linspace(0, len(cache) - 1, shown).astype(int))
    side = cache.images.shape[1]
    places = np.zeros((shown, side, side), np.uint8)
    places[: len(chosen)] = cache.images[chosen]
    sheet = places.reshape(_ROWS, _COLUMNS, side, side).swapaxes(1, 2).reshape(_ROWS * side, _COLUMNS * side)
    with replacing(folder / SHEET) as temporary:
        temporary.write_bytes(cv2.imencode(".jpg", sheet)[1].tobytes())
