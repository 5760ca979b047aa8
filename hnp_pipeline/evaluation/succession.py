"""Is a new model no worse than the one in use? Asked of validation; the test set chooses nothing.

Every image was scored by the one model of each version that had not seen its patient. Where both versions come
from the same development set their folds are the same, and the figure is the mean of the folds' AUCs, as in the
table `metrics`. Where they do not, only images that both have count, and within a fold only pairs of images that one
model of each version has scored, since the scores of two models are on two scales.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hnp_pipeline import study
from hnp_pipeline.evaluation.bootstrap import auc_draws, interval, resample, weighted_sums
from hnp_pipeline.evaluation.scores import Scores, fold_scores, pooled
from hnp_pipeline.vocabulary import LEVEL_TITLES


@dataclass(frozen=True)
class Succession:
    """The verdict on a new version, with its figures (None where they cannot be had).

    Attributes:
        passed: the new one may take over.
        words: why, in a sentence.
        auc_new, auc_old: means over the levels and folds.
        difference, low, high: new less old, with the paired bootstrap interval over patients.
        images, patients: how many were asked.
    """

    passed: bool
    words: str
    auc_new: float | None = None
    auc_old: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    images: int = 0
    patients: int = 0


def judge(
    new: pa.Table, old: pa.Table, task: str, settings: study.Evaluation, rule: study.Succession
) -> Succession:
    """Whether the new version's validation AUC is not worse than the old one's: by its interval, not its estimate.

    Not worse: the lower end of the interval of the difference is not below -margin (non-inferiority).

    Args:
        new, old: fold, sha256, patient, level, probability, label of every image (or patient) that validated.
        task: of both.
        settings: the bootstrap.
        rule: the margin, and how many images both must have.
    """
    a, fold_a = _scores(new, task)
    b, fold_b = _scores(old, task)
    shared, place_a, place_b = np.intersect1d(a.images, b.images, return_indices=True)
    least = rule.shared_images * max(len(a.images), len(b.images))
    if len(shared) < max(least, 1):
        return Succession(
            False,
            f"the two development sets share {len(shared)} of {len(a.images)} and {len(b.images)} validation "
            f"{a.unit}s, which is too little to compare by ({rule.shared_images:.0%} of the larger are needed)",
            images=len(shared),
        )
    keep = np.zeros(len(a.images), bool)
    keep[place_a] = True
    where_b = np.empty(len(a.images), np.int64)
    where_b[place_a] = place_b
    ours = a.only(keep)
    pair = np.stack([ours.probability, b.probability[where_b[keep]]])
    draws, levels = _draws(ours, pair, fold_a[keep], fold_b[where_b[keep]], settings)
    facts = {"images": len(ours.images), "patients": len(ours.patients)}
    if not levels:
        return Succession(
            False, "no level has both classes in every fold, so no AUC can be compared", **facts
        )
    difference = draws[0] - draws[1]
    low, high = (float(end) for end in interval(difference[1:], settings.confidence))
    figures = (float(draws[0, 0]), float(draws[1, 0]), float(difference[0]))
    if np.isnan(low):
        return Succession(False, "no interval: too many bootstrap draws lack a class", *figures, **facts)
    passed = low >= -rule.margin
    over = ", ".join(LEVEL_TITLES[k] for k in levels)
    words = (
        f"validation AUC {figures[0]:.3f} against {figures[1]:.3f} (mean over {over}): difference {figures[2]:+.3f}, "
        f"{settings.confidence:.0%} interval {low:+.3f} to {high:+.3f}: "
        f"{'not worse' if passed else 'not shown to be no worse'} by the margin of {rule.margin:g}"
    )
    return Succession(passed, words, *figures, low, high, **facts)


def _scores(table: pa.Table, task: str) -> tuple[Scores, np.ndarray]:
    """All folds' scores as one, and the fold of each."""
    named = table.rename_columns({"sha256": "image_id", "patient": "patient_key"})
    parts, folds = fold_scores(named.append_column("task", pa.array([task] * table.num_rows)), task)
    together = pooled(parts)
    images = np.concatenate([p.images for p in parts]).astype(str)
    fold = np.repeat(folds, [len(p.images) for p in parts])
    order = np.argsort(images)
    return together, fold[order][np.searchsorted(images[order], together.images.astype(str))]


def _draws(
    scores: Scores, pair: np.ndarray, fold: np.ndarray, other: np.ndarray, settings: study.Evaluation
) -> tuple[np.ndarray, list[str]]:
    """AUCs (2, 1 + draws), and the levels they are the mean over: those that can be had in every fold."""
    by_level: dict[str, list[np.ndarray]] = {k: [] for k in scores.levels}
    for f in np.unique(fold):
        mine = fold == f
        part, both, cell = scores.only(mine), pair[:, mine], other[mine]
        counts = resample(len(part.patients), settings.bootstrap_draws, [settings.seed, int(f)])
        for j, level in enumerate(scores.levels):
            won, pairs = np.zeros((2, len(counts))), np.zeros(len(counts))
            for c in np.unique(cell):
                inside = cell == c
                label, patient = part.label[inside, j], part.patient[inside]
                drawn = weighted_sums(np.c_[label, 1 - label], patient, counts).prod(axis=1)
                aucs = np.stack([auc_draws(p[inside, j], label, patient, counts) for p in both])
                won += drawn * np.where(
                    drawn > 0, aucs, 0
                )  # a cell without pairs in a draw says nothing there
                pairs += drawn
            if pairs[0]:
                share = np.full_like(won, np.nan)
                by_level[level].append(np.divide(won, pairs, out=share, where=pairs > 0))
    folds = len(np.unique(fold))
    whole = {k: np.mean(v, axis=0) for k, v in by_level.items() if len(v) == folds}
    if not whole:
        return np.zeros((2, 0)), []
    return np.mean(list(whole.values()), axis=0), list(whole)
