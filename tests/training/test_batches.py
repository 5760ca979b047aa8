import numpy as np
import pytest
import torch
from training_sets import ArrayStore, make_set

from hnp_pipeline.training.batches import Feeder, derive, epoch_order, in_order


def test_derived_seeds_never_change() -> None:
    assert derive(2022, "level", 0, "order", 1) == 761632801719471264
    assert derive(2022, "level", 0, "order", 2) != derive(2022, "level", 0, "order", 1)


@pytest.mark.parametrize(
    ("count", "steps", "batch"), [(2, 1, 2), (15, 1, 15), (16, 1, 16), (23, 1, 16), (25, 2, 16), (100, 6, 16)]
)
def test_an_epoch_is_whole_batches(count: int, steps: int, batch: int) -> None:
    positions = np.arange(count) * 3
    order = epoch_order(positions, 16, seed=5)
    assert order.shape == (steps, batch)
    seen = np.unique(order)
    assert set(seen) <= set(positions)
    assert len(seen) == min(count, order.size)  # nothing twice before everything once
    assert abs(order.size - count) <= 8


def test_order_is_the_seeds() -> None:
    positions = np.arange(64)
    assert np.array_equal(epoch_order(positions, 16, 1), epoch_order(positions, 16, 1))
    assert not np.array_equal(epoch_order(positions, 16, 1), epoch_order(positions, 16, 2))


def test_feeder_gives_each_batch_its_pixels() -> None:
    images, _ = make_set(11)
    feeder = Feeder(images, torch.device("cpu"))
    order = [np.array([3, 1, 10]), np.array([0, 0, 5, 7, 2]), np.array([4])]
    for rows, pixels in zip(order, feeder(iter(order)), strict=True):
        assert pixels.dtype == torch.uint8
        assert np.array_equal(pixels.numpy(), images.pixels[rows])


class TooMany(ArrayStore):
    """A set that a GPU turns out to have no room for."""

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if len(indices) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().gather(indices, out)


def test_a_set_lives_on_the_device_only_where_it_fits() -> None:
    images, _ = make_set(11)
    device, size = torch.device("meta"), images.pixels.nbytes
    resident = Feeder(images, device, room=size).resident
    assert resident is not None and resident.shape == images.pixels.shape
    assert Feeder(images, device, room=size - 1).resident is None
    assert Feeder(TooMany(images.pixels), device, room=size).resident is None


def test_in_order() -> None:
    assert [p.tolist() for p in in_order(np.array([9, 8, 7, 6, 5]), 2)] == [[9, 8], [7, 6], [5]]
    assert list(in_order(np.array([]), 2)) == []
