"""What an epoch came to on the held-out fold, and which epoch is the best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hnp_pipeline import study
from hnp_pipeline.training.tasks import Task


@dataclass(frozen=True)
class EpochResult:
    """One epoch. They count from 1; what cannot be computed is None.

    Attributes:
        epoch, epochs: which, of how many at most.
        loss: the mean over the training batches.
        validation_loss: of the held-out fold; None if it has no image.
        auc: by output; None where one class is absent.
        mean_auc: over those outputs that have one.
        learning_rate: of the first batch.
        seconds: training and validation.
    """

    epoch: int
    epochs: int
    loss: float
    validation_loss: float | None
    auc: dict[str, float | None]
    mean_auc: float | None
    learning_rate: float
    seconds: float


def auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """The area under the ROC curve by the rank statistic, ties counted half; None if one class is absent."""
    positive = labels.astype(bool)
    p, n = int(positive.sum()), int((~positive).sum())
    if not p or not n:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # ties share their mean rank
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * n))


def validation_loss(task: Task, logits: np.ndarray, labels: np.ndarray, ages: np.ndarray) -> float | None:
    """The task's loss on all of (n, units) logits at once; None for no image."""
    if not len(logits):
        return None
    return float(task.loss(torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(ages)))


def best_epoch(history: Sequence[EpochResult]) -> int:
    """The first epoch of the highest mean AUC, else of the lowest validation loss, else the last; or 0."""
    if not history:
        return 0
    if history[0].mean_auc is not None:
        return max(history, key=lambda r: (r.mean_auc or 0.0, -r.epoch)).epoch
    if history[0].validation_loss is not None:
        return min(history, key=lambda r: (r.validation_loss or 0.0, r.epoch)).epoch
    return history[-1].epoch


def finished(history: Sequence[EpochResult], training: study.Training) -> bool:
    """All epochs are done, or as many as the settings allow have passed without a better one."""
    done, patience = len(history), training.early_stopping_epochs
    stale = patience is not None and done > 0 and done - best_epoch(history) >= patience
    return done >= training.epochs or stale
