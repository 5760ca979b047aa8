"""Folds by patient, stratified over the five levels at once.

Patients with the same numbers of images and of positive images at every level are of one kind, and for the balance it
does not matter which of them goes where. So the kinds are dealt: as many to each fold as go evenly, the remainders
greedily (as in iterative stratification: Sechidis et al., ECML PKDD 2011), and then single patients are moved or
exchanged between two folds as long as that helps. Only then do names come in: within a kind, patients follow their
order. All in whole numbers, so that every machine finds the same folds.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_UNIT = 1 << 40  # of the objective's integer weights
_EMPTY = 1 << 54  # outweighs every imbalance: a fold without a positive (or negative) patient at a level
_CANDIDATES = 192  # kinds of a fold that are tried for an exchange


def assign_folds(images: Ints, positives: Ints, folds: int) -> npt.NDArray[np.int32]:
    """The fold of each patient.

    Args:
        images: (patients,) number of images; the patients' order decides among those of the same kind.
        positives: (patients, labels) number of positive images.
        folds: how many folds.

    Returns:
        (patients,) from 0 to `folds` - 1. Each label's positive images, the images and the patients are spread as
        evenly as can be; and no fold is without a positive patient where there are as many of them as folds.
    """
    if not len(images):
        return np.zeros(0, np.int32)
    counts = np.column_stack([images, positives]).astype(np.int64)
    kind, first = _kinds(counts)
    shares = _improve(*_deal(counts[first], np.bincount(kind), folds))
    by_kind = np.argsort(kind, kind="stable")
    fold = np.empty(len(kind), np.int32)
    fold[by_kind] = np.repeat(np.tile(np.arange(folds), len(first)), shares.reshape(-1))
    return fold


def _kinds(counts: Ints) -> tuple[Ints, Ints]:
    """Each patient's kind, and each kind's first patient; kinds are numbered in the order of their first patients."""
    kind = np.zeros(len(counts), np.int64)
    for (
        column
    ) in counts.T:  # one at a time: seven quick sorts of numbers, where sorting rows takes ten times as long
        _, kind = np.unique(kind * (column.max() + 1) + column, return_inverse=True)
    _, first = np.unique(kind, return_index=True)
    order = np.argsort(first)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return number[kind], first[order]


class _Problem(NamedTuple):
    features: Ints  # (kinds, features) what is balanced: patients, images, positive images
    weights: Ints  # (features,) of a squared deviation: a χ² term's
    present: (
        Ints  # (kinds, 2 × labels) has a positive image, has a negative one: where every fold can have one
    )


def _deal(kinds: Ints, sizes: Ints, folds: int) -> tuple[_Problem, Ints]:
    """How many of each kind go to each fold: (kinds, folds)."""
    images, positives = kinds[:, :1], kinds[:, 1:]
    features = np.hstack([np.ones_like(images), kinds])
    weights = _UNIT // np.maximum(sizes @ features, 1)
    present = np.hstack([positives > 0, positives < images]).astype(np.int64)
    problem = _Problem(features, weights, present[:, sizes @ present >= folds])
    shares = np.repeat(sizes[:, None] // folds, folds, axis=1)
    sums = shares.T @ features
    for k in np.repeat(np.arange(len(kinds)), sizes % folds):
        f = np.argmin(
            sums @ (weights * features[k])
        )  # the fold where it adds least to the squared deviations
        shares[k, f] += 1
        sums[f] += features[k]
    return problem, shares


def _improve(problem: _Problem, shares: Ints) -> Ints:
    """Move or exchange single patients, the best first, until nothing helps."""
    features, weights, present = problem
    nothing = len(features)  # an exchange with `nothing` is a move
    features, present = (np.vstack([a, np.zeros_like(a[:1])]) for a in (features, present))
    shares = np.vstack([shares, np.ones_like(shares[:1])])
    pairs = [(f, g) for g in range(shares.shape[1]) for f in range(g)]
    while True:
        best = (0, 0, 0, 0, 0)
        for f, g in pairs:
            a, b = (np.append(np.flatnonzero(shares[:-1, h])[:_CANDIDATES], nothing) for h in (f, g))
            change = _changes(features, weights, shares, f, g, a, b)
            change += _EMPTY * _emptied(present, shares, f, g, a, b)
            i, j = divmod(int(np.argmin(change)), len(b))
            best = min(best, (int(change[i, j]), f, g, int(a[i]), int(b[j])), key=lambda c: c[0])
        gain, f, g, out, back = best
        if gain >= 0:
            return shares[:-1]
        shares[out, [f, g]] += (-1, 1)
        shares[back, [f, g]] += (1, -1)
        shares[nothing] = 1


def _changes(features: Ints, weights: Ints, shares: Ints, f: int, g: int, a: Ints, b: Ints) -> Ints:
    """How the sum of squared deviations changes (half of it) when kind a[i] goes from f to g and b[j] from g to f."""
    gap = (shares[:, f] - shares[:, g]) @ features
    x, y = features[a], features[b]
    # Σ w (d·gap + d²) for d = y - x, without an array of three dimensions
    linear = (y @ (weights * gap))[None, :] - (x @ (weights * gap))[:, None]
    square = ((x * x) @ weights)[:, None] + ((y * y) @ weights)[None, :] - 2 * ((x * weights) @ y.T)
    return linear + square


def _emptied(present: Ints, shares: Ints, f: int, g: int, a: Ints, b: Ints) -> Ints:
    """How many more (fold, label, sign) have no patient after the exchange; negative: fewer."""
    have = shares.T @ present
    rare = np.flatnonzero(have[[f, g]].min(axis=0) <= 1)
    emptied = np.zeros((len(a), len(b)), np.int64)
    for c in rare:
        gained = present[b, c][None, :] - present[a, c][:, None]
        for h, sign in ((f, 1), (g, -1)):
            emptied += ((have[h, c] + sign * gained) <= 0).astype(np.int64) - int(have[h, c] <= 0)
    return emptied
