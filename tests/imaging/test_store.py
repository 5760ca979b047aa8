"""Batches out of several caches, in the order that is asked for."""

import numpy as np
import pyarrow as pa
import pytest

from hnp_pipeline import schemas
from hnp_pipeline.errors import StepError
from hnp_pipeline.imaging.store import INDEX, ImageCache, ImageStore

RNG = np.random.default_rng(5)
SHA = [RNG.bytes(32).hex() for _ in range(20)]


def cached(first: int, last: int, size: int = 8) -> ImageCache:
    """Images first to last - 1, whose pixels are their number, in an order of its own."""
    rows = RNG.permutation(last - first)
    images = np.empty((last - first, size, size), np.uint8)
    images[rows] = np.arange(first, last)[:, None, None]
    count = last - first
    index = pa.table([SHA[first:last], rows, [0] * count, [False] * count], schemas.schema(INDEX))
    return ImageCache(images, index, f"c{first}")


def test_gathers_across_caches() -> None:
    store = ImageStore([cached(0, 12), cached(10, 20)], pa.array(SHA))
    assert len(store) == 20
    assert store.shape == (8, 8)
    batch = store.gather(np.array([19, 0, 11, 0]))
    assert batch.dtype == np.uint8
    assert batch.shape == (4, 8, 8)
    assert batch[:, 3, 3].tolist() == [19, 0, 11, 0]
    out = np.zeros((2, 8, 8), np.uint8)
    assert store.gather([5, 15], out) is out
    assert out[:, 0, 0].tolist() == [5, 15]
    assert store.gather([]).shape == (0, 8, 8)


def test_the_order_is_that_of_the_list() -> None:
    order = RNG.permutation(20)
    store = ImageStore([cached(0, 20)], [SHA[i] for i in order])
    assert store.gather(np.arange(20))[:, 0, 0].tolist() == order.tolist()


def test_a_wrong_index_is_an_error() -> None:
    store = ImageStore([cached(0, 20)], SHA)
    with pytest.raises(IndexError):
        store.gather([20])
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        store.gather([1], np.zeros((1, 9, 9), np.uint8))


def test_missing_images_are_counted() -> None:
    with pytest.raises(StepError, match=r"8 of 20 images are not in the image cache \(c0\)"):
        ImageStore([cached(0, 12)], SHA)
    with pytest.raises(StepError, match="1 of 1"):
        cached(0, 12).position([SHA[12]])
    with pytest.raises(StepError, match="no collection"):
        ImageStore([], SHA)
    assert len(ImageStore([], [])) == 0


def test_caches_of_two_sizes_do_not_mix() -> None:
    with pytest.raises(StepError, match="differ in size"):
        ImageStore([cached(0, 10), cached(10, 20, size=9)], SHA)


def test_find() -> None:
    cache = cached(3, 9)
    assert (cache.find([SHA[3], SHA[2], SHA[8], SHA[9]]) >= 0).tolist() == [True, False, True, False]
    assert SHA[4] in cache
    assert SHA[0] not in cache
