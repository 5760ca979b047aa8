"""The figures of the paper's Tables 2 to 5, for the sample and every bootstrap draw at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hnp_pipeline.evaluation.bootstrap import auc_draws, confusion_draws
from hnp_pipeline.evaluation.doubts import patients
from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.vocabulary import ALL, LEVELS

# (metric, class) in the order of the table
FIGURES: tuple[tuple[str, str | None], ...] = (
    ("auc", None),
    ("accuracy", None),
    ("precision", "hnp"),
    ("recall", "hnp"),
    ("f1", "hnp"),
    ("precision", "no_hnp"),
    ("recall", "no_hnp"),
    ("f1", "no_hnp"),
)


@dataclass(frozen=True)
class Estimate:
    """Figures of one model, split and unit."""

    unit: str  # image or patient
    levels: tuple[str, ...]
    draws: (
        np.ndarray
    )  # float64 (1 + draws, figures, L): draw 0 is the value itself; NaN where it cannot be had
    reasons: np.ndarray  # object (figures, L): why the value is NaN, else ""
    patients: np.ndarray  # int64 (2, L): patients with a negative and with a positive example


def estimate(scores: Scores, predicted: np.ndarray, counts: np.ndarray, unit: str) -> Estimate:
    """Every figure at every level, and at `all` where the five are there.

    Args:
        scores: n images or patients at L levels.
        predicted: (n, L) 1, 0, or NaN in columns without a threshold.
        counts: (1 + draws, P) from `bootstrap.resample`.
        unit: image or patient, as `scores` are.
    """
    columns = zip(scores.probability.T, scores.label.T, strict=True)
    auc = np.stack([auc_draws(p, y, scores.patient, counts) for p, y in columns], axis=1)
    tp, fp, fn, tn = confusion_draws(predicted, scores.label, scores.patient, counts)
    draws = np.stack(
        [
            auc,
            _ratio(tp + tn, tp + fp + fn + tn),
            _ratio(tp, tp + fp),
            _ratio(tp, tp + fn),
            _ratio(2 * tp, 2 * tp + fp + fn),
            _ratio(tn, tn + fn),
            _ratio(tn, tn + fp),
            _ratio(2 * tn, 2 * tn + fn + fp),
        ],
        axis=1,
    )
    reasons = np.where(np.isnan(draws[0]), _reasons(scores, predicted, unit), "")
    return with_mean_over_levels(Estimate(unit, scores.levels, draws, reasons, patients(scores)))


def with_mean_over_levels(e: Estimate) -> Estimate:
    """With the column `all` added where the five levels are there: their plain mean (paper, Tables 3, 4).

    A mean over fewer than five would pass for the mean over five, so it is NaN unless all five can be had.
    """
    if not set(LEVELS) <= set(e.levels):
        return e
    five = [e.levels.index(k) for k in LEVELS]
    draws = e.draws[:, :, five].mean(axis=2, keepdims=True)
    reasons = np.array([[_joined("at", LEVELS, row[five].tolist())] for row in e.reasons], object)
    weakest = e.patients[:, five].min(axis=1, keepdims=True)
    return Estimate(
        e.unit,
        (*e.levels, ALL),
        np.concatenate([e.draws, draws], axis=2),
        np.concatenate([e.reasons, reasons], axis=1),
        np.concatenate([e.patients, weakest], axis=1),
    )


def mean_over_folds(estimates: Sequence[Estimate], folds: Sequence[int]) -> Estimate:
    """The mean of the folds' figures, draw by draw: the folds share no patient, their draws are independent.

    NaN unless every fold has the figure, for the same reason as with levels.
    """
    first = estimates[0]
    reasons = np.empty_like(first.reasons)
    names = [str(k) for k in folds]
    for place in np.ndindex(reasons.shape):
        reasons[place] = _joined("in fold", names, [str(e.reasons[place]) for e in estimates])
    return Estimate(
        first.unit,
        first.levels,
        np.mean([e.draws for e in estimates], axis=0),
        reasons,
        np.sum([e.patients for e in estimates], axis=0),
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _reasons(scores: Scores, predicted: np.ndarray, unit: str) -> np.ndarray:
    """Why each figure would be null at each level: (figures, L). Only read where it is."""
    positive = scores.label.any(axis=0)
    undecided = np.isnan(predicted).any(axis=0)
    lacking = np.where(positive, f"no negative {unit}", f"no positive {unit}")
    rows = [lacking]
    for metric, group in FIGURES[1:]:
        sign = "positive" if group == "hnp" else "negative"
        reason = {
            "accuracy": f"no {unit}",
            "precision": f"no {unit} predicted {sign}",
            "recall": f"no {sign} {unit}",
            "f1": f"no {unit} {sign} or predicted {sign}",
        }[metric]
        rows.append(np.where(undecided, "no threshold: validation lacks a class", reason))
    if not len(scores.label):
        return np.full((len(FIGURES), len(scores.levels)), f"no {unit}", object)
    return np.array(rows, object)


def _joined(word: str, names: Sequence[str], reasons: Sequence[str]) -> str:
    lacking = [f"{word} {name}: {reason}" for name, reason in zip(names, reasons, strict=True) if reason]
    return "null " + "; ".join(lacking) if lacking else ""
