"""Shrinking by area."""

import platform
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnp_pipeline.imaging.area import shrink

side = st.integers(1, 700)


def noise(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns), np.uint8)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """To the bit on x86-64; elsewhere compilers may join a product and a sum, and a half is rounded otherwise."""
    exact = platform.machine() in ("x86_64", "AMD64")
    np.testing.assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=0 if exact else 1)


def by_opencv(gray: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)


@settings(max_examples=150, deadline=None)
@given(side, side, st.integers(1, 200), st.integers(1, 200), st.sampled_from([1, 64, 255]))
def test_every_pixel_is_opencvs(rows: int, columns: int, width: int, height: int, coarse: int) -> None:
    gray = noise(rows, columns) // coarse * coarse  # few gray levels give many ties
    assert_same(shrink(gray, width, height), by_opencv(gray, width, height))


@pytest.mark.parametrize(
    ("rows", "columns", "width", "height"),
    [
        (1250, 1000, 456, 456),  # the benchmark's, and a radiograph's at half its size
        (1140, 1596, 456, 456),  # factors of 2.5 and 3.5: weights that end in a half
        (912, 1368, 456, 456),  # whole factors
        (912, 1000, 456, 456),  # one of them whole
        (456, 1000, 456, 456),  # one of them 1
        (300, 1000, 456, 456),  # taller than it was
        (1371, 457, 456, 456),
        (3001, 129, 128, 128),
    ],
)
def test_of_any_factor(rows: int, columns: int, width: int, height: int) -> None:
    gray = noise(rows, columns)
    assert_same(shrink(gray, width, height), by_opencv(gray, width, height))


def test_a_part_of_a_larger_picture() -> None:
    gray = noise(900, 900)[100:800, 50:750]
    assert_same(shrink(gray, 224, 224), by_opencv(gray, 224, 224))


def test_the_mean_of_what_a_pixel_covers() -> None:
    """Three columns to two: the middle one goes to both by halves."""
    gray = np.array([[0, 90, 240], [30, 60, 180], [0, 0, 0]], np.uint8)
    expected = [[30 * 2 / 3 + 40 / 3, 190 * 2 / 3 + 140 / 3], [40 / 3, 140 / 3]]
    np.testing.assert_array_equal(shrink(gray, 2, 2), np.rint(expected))


def test_threads_share_the_weights() -> None:
    pictures = [noise(500 + i % 3, 400 + i % 5, i) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        shrunk = list(pool.map(lambda gray: shrink(gray, 128, 128), pictures))
    for gray, small in zip(pictures, shrunk, strict=True):
        assert_same(small, by_opencv(gray, 128, 128))
