"""Task `multiview`: all images of a patient answered together, by attention over them.

The shared network gives each image, of which view and age are known, a logit and an attention score at each
level. A patient's logit is the mean of the images' logits, weighted by the softmax of their scores over the
patient's images (Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018, equation 7). Since the
last layer is linear, that is the same as pooling the images' features by these weights and applying the layer
after; and it keeps an image's own part in the answer, which is what Grad-CAM and the table of attention show.
"""

import numpy as np
import torch
from torch import Tensor, nn

from hnp_pipeline.training.batches import Batches

_PADDING = -1


def pooled(logits: Tensor, group: Tensor) -> Tensor:
    """Logits and scores (B, 2 L) of a batch's images to their patients' logits (B, L), a row an image.

    `group` (B,) says which images are of one patient. Shapes depend on B alone and no sum is scattered, so a GPU
    neither waits nor compiles again, and the same bits come out each time.
    """
    own, scores = logits.tensor_split(2, dim=1)
    others = group[:, None] != group[None, :]
    weight = scores.expand(len(group), *scores.shape).masked_fill(others[:, :, None], -torch.inf).softmax(1)
    return torch.einsum("ijl,jl->il", weight, own)


def answers(logits: np.ndarray, patient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `pooled` says, for any number of images: patients' logits and the images' attention.

    Args:
        logits: (..., n, 2 L), an image's logits and scores.
        patient: (n,) whose image each is, in any order.

    Returns:
        (..., P, L) the patients' logits, in the order of np.unique(patient), and (..., n, L) each image's weight,
        which sum to 1 over a patient's images.
    """
    own, scores = np.split(logits.astype(np.float64), 2, axis=-1)
    _, code = np.unique(patient, return_inverse=True)
    if not len(code):
        return own, scores
    order = np.argsort(code, kind="stable")
    first = np.searchsorted(code[order], np.arange(code.max() + 1))
    top = np.maximum.reduceat(scores[..., order, :], first, axis=-2)
    weight = np.exp(scores - top[..., code, :])
    total = np.add.reduceat(weight[..., order, :], first, axis=-2)
    attention = weight / total[..., code, :]
    return np.add.reduceat((attention * own)[..., order, :], first, axis=-2), attention


def patient_batches(patient: np.ndarray, positions: np.ndarray, batch_size: int, seed: int) -> Batches:
    """One epoch's batches of whole patients, shuffled, every batch of one shape.

    A patient goes into the batch that it fills best. What stays empty is filled with other images, which count
    for batch norm and not for the loss; a batch that less than half fills is left out this epoch. Of a patient
    with more images than a batch holds, as many are drawn anew each epoch.

    Args:
        patient: (n,) whose image each is.
        positions: the images to train on.
        batch_size: images in a batch.
        seed: of order and draws.
    """
    rng = np.random.default_rng(seed)
    positions = rng.permutation(positions)
    size = min(batch_size, len(positions))
    _, code = np.unique(patient[positions], return_inverse=True)
    rank = rng.permutation(code.max() + 1)[code]  # patients in a random order
    order = np.argsort(rank, kind="stable")
    positions, rank = positions[order], rank[order]
    images = np.bincount(rank)
    start = np.cumsum(images) - images
    kept = np.arange(len(rank)) - start[rank] < size
    positions, rank, images = positions[kept], rank[kept], np.minimum(images, size)

    batch = _packed(images, size)
    row = batch[rank]
    order = np.argsort(row, kind="stable")
    positions, rank, row = positions[order], rank[order], row[order]
    filled = np.bincount(row)
    column = np.arange(len(row)) - (np.cumsum(filled) - filled)[row]
    shape = (len(filled), size)
    chosen = np.resize(rng.permutation(positions), shape)
    group, weight = np.full(shape, _PADDING), np.zeros(shape, np.float32)
    patients = np.bincount(batch)
    chosen[row, column], group[row, column] = positions, rank
    weight[row, column] = size / (patients[row] * images[rank])
    half = 2 * filled >= size
    use = rng.permutation(np.flatnonzero(half if half.any() else filled > 0))
    return Batches(chosen[use].astype(np.int64), group[use], weight[use])


def begin_as_mean(classifier: nn.Linear) -> None:
    """Let every image count the same at first: all attention scores are 0."""
    with torch.no_grad():
        half = classifier.out_features // 2
        classifier.weight[half:] = 0
        classifier.bias[half:] = 0


def _packed(sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Best fit: for each size in turn, the open batch with the least room that still takes it."""
    room: list[list[int]] = [[] for _ in range(capacity + 1)]  # batches by the room they have left
    count = 0
    packed = []
    for size in sizes.tolist():
        left = next((r for r in range(size, capacity + 1) if room[r]), None)
        if left is None:
            batch, left, count = count, capacity, count + 1
        else:
            batch = room[left].pop()
        room[left - size].append(batch)
        packed.append(batch)
    return np.array(packed)
