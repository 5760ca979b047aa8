"""Operating points: the cut above which a score counts as positive, chosen on validation (design 8)."""

from typing import Literal

import numpy as np

from hnp_pipeline.evaluation.scores import Scores

Rule = Literal["youden", "f1"] | float


def thresholds(scores: Scores, rule: Rule) -> np.ndarray:
    """The threshold at each level (L,); NaN where none could be had."""
    pairs = zip(scores.probability.T, scores.label.T, strict=True)
    return np.array([threshold(probability, label, rule) for probability, label in pairs])


def threshold(probability: np.ndarray, label: np.ndarray, rule: Rule) -> float:
    """The best of all cuts `probability >= t`, where t is one of the probabilities; NaN without both classes.

    `youden` takes the largest J = sensitivity + specificity - 1 (Youden, Cancer 1950; 3: 32-35), `f1` the
    largest F1, a number is taken as it is. Of equally good cuts the highest is taken: the fewest called
    positive.
    The cut above every score needs no asking: its J is 0, as at the lowest score, and its F1 is 0.
    """
    if not isinstance(rule, str):
        return float(rule)
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return float("nan")
    order = np.argsort(-probability, kind="stable")
    cut = probability[order]
    last = np.r_[cut[1:] != cut[:-1], True]  # a cut takes in all of its ties
    true = np.cumsum(label[order], dtype=np.int64)[last]
    called = np.flatnonzero(last) + 1
    if rule == "youden":
        gain = (
            true * negatives - (called - true) * positives
        )  # J times both counts: integers, so that ties are ties
    else:
        gain = 2 * true / (called + positives)
    return float(cut[last][np.argmax(gain)])


def decide(probability: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """1 where the probability (…, L) reaches the threshold (L,), else 0; NaN where there is none."""
    return np.where(np.isnan(threshold), np.nan, probability >= threshold)
