"""Sixteen bits to eight."""

import numpy as np


def eight_bits(pixels: np.ndarray, depth: int | None = None) -> np.ndarray:
    """Unsigned pixels to uint8, by their depth: what 8 bits cannot hold is cut off at the low end.

    Detectors of 10, 12 and 14 bits are stored in 16: where the depth is not told, it is the least even one
    that holds the brightest pixel.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if depth is None:
        bits = max(8, int(pixels.max()).bit_length())
        depth = bits + bits % 2
    shifted: np.ndarray = np.right_shift(pixels, depth - 8).astype(np.uint8)
    return shifted
