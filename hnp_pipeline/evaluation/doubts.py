"""Why a figure is absent, or not to be relied on: its patients with the label, or without it, are too few."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.vocabulary import ALL, LEVELS


def doubt(positive: int, negative: int | None, few: int) -> str:
    """The note of a figure that rests on so many patients with and without the label; "" from `few` of each up.

    `negative` is None where those without the label were not asked.
    """
    n, sign = positive, "positive"
    if negative is not None and negative < positive:
        n, sign = negative, "negative"
    return f"interval unreliable: {n} {sign} patient{'' if n == 1 else 's'}" if n < few else ""


def patients(scores: Scores) -> np.ndarray:
    """Patients with a negative and with a positive example at each level: int64 (2, L)."""
    return np.array(
        [[len(np.unique(scores.patient[y == c])) for y in scores.label.T] for c in (0, 1)], np.int64
    ).reshape(2, len(scores.levels))


def of_levels(parts: Sequence[Scores], few: int) -> dict[str, str]:
    """The note at each level, and at `all` where the five are there: as their weakest in each part.

    Args:
        parts: scores of disjoint patients at the same levels.
        few: fewer patients than this are too few.
    """
    levels, counts = parts[0].levels, [patients(s) for s in parts]
    if set(LEVELS) <= set(levels):
        five = [levels.index(k) for k in LEVELS]
        levels = (*levels, ALL)
        counts = [np.c_[n, n[:, five].min(axis=1)] for n in counts]
    negatives, positives = np.sum(counts, axis=0).tolist()
    return {k: doubt(p, n, few) for k, p, n in zip(levels, positives, negatives, strict=True)}


def reasons(value: np.ndarray, low: np.ndarray, doubts: Sequence[str], absent: str) -> pa.Array:
    """The column `reason` of values, lower ends and notes (n,): null where there is nothing to say.

    `absent` says why a value cannot be had.
    """
    return pa.array(
        [
            absent
            if np.isnan(v)
            else "no interval: too many bootstrap draws lack a class"
            if np.isnan(end)
            else doubt or None
            for v, end, doubt in zip(value, low, doubts, strict=True)
        ],
        pa.string(),
    )
