"""A few pictures of a cache on one sheet, for a person to see what the networks will see."""

import cv2
import numpy as np

_COLUMNS, _ROWS = 5, 2
_SIDE = 256  # pixels of a picture, at most


def draw_sheet(images: np.ndarray) -> bytes:
    """Ten pictures, evenly out of all (uint8, n × size × size), as one JPEG.

    It is the builder's to delete with the first picture that leaves the cache, until it is drawn again.
    """
    shown = _COLUMNS * _ROWS
    chosen = np.unique(np.linspace(0, len(images) - 1, shown).astype(int))
    size = images.shape[1]
    side = size // -(-size // _SIDE)  # by a whole number, which is ten times as fast
    places = np.zeros((shown, side, side), np.uint8)
    for place, image in zip(places, images[chosen], strict=False):
        cv2.resize(image, (side, side), dst=place, interpolation=cv2.INTER_AREA)
    sheet = places.reshape(_ROWS, _COLUMNS, side, side).swapaxes(1, 2).reshape(_ROWS * side, _COLUMNS * side)
    return cv2.imencode(".jpg", sheet)[1].tobytes()
