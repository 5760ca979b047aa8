"""The bootstrap over patients: draws, the statistics of all draws at once, percentile intervals.

Patients are drawn, not images, since a patient's images share anatomy and label (Field & Welsh, J. R. Stat.
Soc. B 2007; 69: 369-390). A draw is a count for each patient, so that every statistic of every draw is a sum
weighted by counts: a confusion table is a matrix product, an AUC a running sum over images sorted by score.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

_CHUNK = 32  # draws at a time: keeps the running sums within the processor's cache (measured: 8 to 512)


def resample(patients: int, draws: int, seed: int | list[int]) -> npt.NDArray[np.uint16]:
    """How often each patient is in each draw: (1 + draws, patients); row 0 is the sample itself.

    The same patients, draws and seed give the same draws: so differences between figures have intervals too.
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((1 + draws, patients), np.uint16)
    counts[0] = 1
    for draw in counts[1:]:
        draw[:] = np.bincount(rng.integers(0, patients, patients), minlength=patients) if patients else 0
    return counts


def auc_draws(score: np.ndarray, label: np.ndarray, patient: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The AUC (Mann-Whitney, ties count half) in each draw; NaN in a draw that lacks a class.

    Args:
        score: (n,) any numbers that can be ordered.
        label: (n,) 0 or 1.
        patient: (n,) whose the score is: a column of `counts`.
        counts: (draws, patients).

    Returns:
        (draws,) float64. All sums are of whole and half numbers, hence exact.
    """
    block = _blocks(score, label)
    shape = (int(block.max(initial=-1)) + 1, counts.shape[1])
    members = [
        sparse.csr_matrix((np.ones(keep.sum()), (block[keep], patient[keep])), shape=shape)
        for keep in (label == 1, label == 0)
    ]
    auc = np.empty(len(counts))
    for start in range(0, len(counts), _CHUNK):
        part = slice(start, start + _CHUNK)
        weights = np.ascontiguousarray(counts[part].T, np.float64)
        positive, negative = (m @ weights for m in members)  # (blocks, chunk)
        below = np.cumsum(negative, axis=0)
        pairs = below[-1] * positive.sum(axis=0) if len(below) else np.zeros(weights.shape[1])
        below -= negative / 2
        won = np.einsum("ij,ij->j", positive, below)
        auc[part] = np.divide(won, pairs, out=np.full_like(won, np.nan), where=pairs > 0)
    return auc


def _blocks(score: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The block (n,) of each score: neighbours in rank of one label together, ties of both labels alone.

    Within a block either there are no pairs, or every pair is a tie: Σ positive·(negatives below + ½
    negatives within) over the blocks is then the AUC's numerator, with far fewer terms than there are images.
    """
    if not len(score):
        return np.zeros(0, np.int64)
    _, tie = np.unique(score, return_inverse=True)
    size = np.bincount(tie)
    positive = np.bincount(tie, weights=label)
    kind = np.where(positive == 0, 0, np.where(positive == size, 1, 2))
    starts = np.r_[False, (kind[1:] != kind[:-1]) | (kind[1:] == 2)]
    return np.cumsum(starts)[tie]


def confusion_draws(
    predicted: np.ndarray, label: np.ndarray, patient: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """True positives, false positives, false negatives, true negatives in each draw: (4, draws, L) float64.

    `predicted` (n, L) may be NaN in whole columns: so are then their counts.
    """
    known = ~np.isnan(predicted)
    called, is_positive = np.where(known, predicted, 0) == 1, label == 1
    cells = np.stack(
        [called & is_positive, called & ~is_positive, ~called & is_positive, ~called & ~is_positive]
    )
    n, levels = label.shape
    sums = weighted_sums(cells.transpose(1, 0, 2).reshape(n, -1), patient, counts)
    table = sums.reshape(len(counts), 4, levels).transpose(1, 0, 2).copy()
    table[:, :, ~known.all(axis=0)] = np.nan
    return table


def weighted_sums(values: np.ndarray, patient: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The sums over examples of `values` (n, K) in each draw: (draws, K) float64."""
    n = len(values)
    whose = sparse.csr_matrix((np.ones(n), (patient, np.arange(n))), shape=(counts.shape[1], n))
    by_patient = whose @ values.astype(np.float64)
    parts = [counts[i : i + _CHUNK].astype(np.float64) @ by_patient for i in range(0, len(counts), _CHUNK)]
    return np.concatenate(parts)


def interval(draws: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval over the first axis of (draws, …); draws that are NaN do not count.

    Where more draws are NaN than the interval leaves out at its ends, those could lie anywhere, and so could
    the interval: its ends are NaN.
    """
    flat = draws.reshape(len(draws), -1)
    low, high = np.full((2, flat.shape[1]), np.nan)
    for j, column in enumerate(flat.T):
        kept = column[~np.isnan(column)]
        if len(kept) and len(column) - len(kept) <= (1 - confidence) * len(column):
            low[j], high[j] = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return low.reshape(draws.shape[1:]), high.reshape(draws.shape[1:])
