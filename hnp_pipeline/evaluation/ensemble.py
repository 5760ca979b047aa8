"""The ensemble of the fold models on the test set (paper, section 2.4; design 8)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.evaluation.thresholds import decide

Decision = Literal["mean_threshold", "majority"]


def ensemble(models: Sequence[Scores]) -> Scores:
    """The mean of the models' probabilities for each image.

    Raises:
        StepError: the models were not asked about the same images with the same labels.
    """
    first = models[0]
    for other in models[1:]:
        if not np.array_equal(first.images, other.images) or not np.array_equal(first.label, other.label):
            raise StepError(
                "the fold models have predicted different test images or labels: predict the test set again"
            )
    return replace(first, probability=np.mean([m.probability for m in models], axis=0))


def mean_threshold(thresholds: np.ndarray) -> np.ndarray:
    """The mean over the models' thresholds (models, L) that could be had; NaN where there is none."""
    known = ~np.isnan(thresholds)
    total = np.where(known, thresholds, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))


def decisions(
    models: Sequence[Scores], thresholds: np.ndarray, together: Scores, rule: Decision
) -> np.ndarray:
    """What the ensemble decides for each example and level: 1, 0, or NaN where no model has a threshold.

    Args:
        models: each model's own scores of the n examples at L levels (images or patients).
        thresholds: (models, L).
        together: the ensemble's scores of the same examples.
        rule: `mean_threshold`, or `majority`: positive when more than half of the models that have a
            threshold say so by their own scores; a tie is negative.
    """
    if rule == "mean_threshold":
        return decide(together.probability, mean_threshold(thresholds))
    ayes, voters = votes(models, thresholds)
    return np.where(voters > 0, ayes * 2 > voters, np.nan)


def votes(models: Sequence[Scores], thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each example and level, how many models say positive, and how many have a threshold to say so by."""
    said = np.stack([decide(m.probability, t) for m, t in zip(models, thresholds, strict=True)])
    return np.nansum(said, axis=0).astype(np.int64), (~np.isnan(said)).sum(axis=0)
