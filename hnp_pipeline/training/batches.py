"""Which images a batch holds, and their way to the device: uint8, gathered at once, no worker processes."""

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor


class Images(Protocol):
    """What training asks of an image store: gray uint8 pictures of one size, by position."""

    def __len__(self) -> int:
        """How many pictures there are."""
        ...

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The pictures at `indices` (int64): uint8 (b, H, W), into `out` where given."""
        ...


class Batches(NamedTuple):
    """An epoch's batches, every one of one shape (steps, batch).

    Attributes:
        order: which images.
        group: which of a batch's images are of one patient; None where a task answers for an image.
        weight: of each image in its patient's part of the loss, 1 on average over a batch; None where there is none.
        real: 1 for an image, 0 for what fills a process's part of a batch (`distributed`); None: all are.
    """

    order: np.ndarray
    group: np.ndarray | None = None
    weight: np.ndarray | None = None
    real: np.ndarray | None = None


def derive(*key: object) -> int:
    """A seed (63 bits) that is a function of `key` alone: the same in every process."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") >> 1


def epoch_order(positions: np.ndarray, batch_size: int, seed: int) -> np.ndarray:
    """One epoch's batches, shuffled: positions (steps, batch), every batch of one shape.

    The number of batches is the nearest to len/batch_size, at least one; what is over is left out this epoch,
    what is lacking is taken again from the epoch's start. So at most half a batch is dropped or seen twice,
    another half each epoch, and no short batch upsets batch norm or a compiled network's shapes.
    """
    batch = min(batch_size, len(positions))
    steps = max(1, round(len(positions) / batch))
    order = np.random.default_rng(seed).permutation(positions)
    return np.resize(order, (steps, batch)).astype(np.int64)


def in_order(positions: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """The positions in their order, in runs of at most `batch_size`."""
    for start in range(0, len(positions), batch_size):
        yield np.asarray(positions[start : start + batch_size], np.int64)


class Feeder:
    """Yields batches of pixels on the device.

    On the CPU they are views into one buffer, valid until the next. On a GPU with `room` bytes to spare the
    whole set lives there; else, or if it does not fit after all, pinned batches are copied ahead on a side stream
    while the last one computes.

    Attributes:
        resident: the whole set on the device, if it lives there.
    """

    def __init__(self, images: Images, device: torch.device, room: int = 0) -> None:
        self._images = images
        self._device = device
        self._buffers: list[Tensor] = []
        self.resident: Tensor | None = None
        if device.type != "cpu" and len(images):
            one = images.gather(np.zeros(1, np.int64))
            if len(images) * one.nbytes <= room:
                try:
                    self.resident = self._on_device(one.shape[1:])
                except torch.OutOfMemoryError:  # others use this GPU, too
                    torch.cuda.empty_cache()

    def __call__(self, batches: Iterator[np.ndarray] | np.ndarray) -> Iterator[Tensor]:
        """Pixels (b, H, W), uint8, for each array of positions in turn."""
        if self.resident is not None:
            resident, rows = self.resident, list(batches)
            if not rows:
                return iter(())
            # the whole order at once: no copy, no wait within it
            order = torch.from_numpy(np.concatenate(rows)).to(self._device)
            return (resident[part] for part in order.split([len(r) for r in rows]))
        if self._device.type == "cpu":
            return (self._gather(rows, 0) for rows in batches)
        return self._prefetched(iter(batches))

    def _on_device(self, shape: tuple[int, ...]) -> Tensor:
        whole = torch.empty((len(self._images), *shape), dtype=torch.uint8, device=self._device)
        for part in in_order(np.arange(len(whole)), 1024):
            whole[part[0] : part[-1] + 1] = torch.from_numpy(self._images.gather(part))
        return whole

    def _gather(self, rows: np.ndarray, slot: int) -> Tensor:
        """The batch in buffer `slot`, which the next batch put there overwrites."""
        while len(self._buffers) <= slot:
            self._buffers.append(torch.empty(0, dtype=torch.uint8))
        buffer = self._buffers[slot]
        if len(buffer) < len(rows):
            shape = (len(rows), *self._images.gather(rows[:1]).shape[1:])
            buffer = torch.empty(shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
            self._buffers[slot] = buffer
        view = buffer[: len(rows)]
        self._images.gather(rows, out=view.numpy())
        return view

    def _prefetched(self, batches: Iterator[np.ndarray]) -> Iterator[Tensor]:
        side = torch.cuda.Stream(self._device)
        copied = [torch.cuda.Event() for _ in range(3)]
        ahead: deque[tuple[Tensor, torch.cuda.Event]] = deque()
        for turn, rows in enumerate(batches):
            slot = turn % len(copied)
            copied[slot].synchronize()  # three batches ago: its pinned buffer is free again
            host = self._gather(rows, slot)
            with torch.cuda.stream(side):
                pixels = host.to(self._device, non_blocking=True)
                copied[slot].record(side)
            ahead.append((pixels, copied[slot]))
            if len(ahead) == 2:
                yield self._arrived(*ahead.popleft())
        while ahead:
            yield self._arrived(*ahead.popleft())

    def _arrived(self, pixels: Tensor, copied: torch.cuda.Event) -> Tensor:
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(copied)
        pixels.record_stream(stream)
        return pixels
