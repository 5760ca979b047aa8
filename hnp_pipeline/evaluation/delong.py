"""The covariance of AUCs on the same examples, which may come in clusters (several images of one patient)."""

import numpy as np
from scipy.stats import norm, rankdata


def auc_covariance(
    score: np.ndarray, label: np.ndarray, cluster: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The AUCs of K scores and their covariance matrix.

    Obuchowski (Biometrics 1997; 53: 567-578), equations for clustered data. With one example a cluster it is
    DeLong, DeLong & Clarke-Pearson (Biometrics 1988; 44: 837-845). The placements come from mid-ranks (Sun &
    Xu, IEEE Signal Process. Lett. 2014; 21: 1389-1393).

    Args:
        score: (n, K).
        label: (n,) 0 or 1.
        cluster: (n,) whole numbers.

    Returns:
        (K,) and (K, K); NaN where a class is absent, a covariance of NaN where one has a single cluster.
    """
    k = score.shape[1]
    positive, negative = score[label == 1], score[label == 0]
    n1, n0 = len(positive), len(negative)
    if not n1 or not n0:
        return np.full(k, np.nan), np.full((k, k), np.nan)
    ranks = rankdata(score, axis=0)
    above = (ranks[label == 1] - rankdata(positive, axis=0)) / n0  # share of negatives below each positive
    below = (
        1 - (ranks[label == 0] - rankdata(negative, axis=0)) / n1
    )  # share of positives above each negative
    auc = above.mean(axis=0)
    _, code = np.unique(cluster, return_inverse=True)
    v10, v01 = (
        _sums(part - auc, code[label == c], code.max() + 1) for part, c in ((above, 1), (below, 0))
    )  # (clusters, K): sums of placements less their expectation
    i10, i01, i = len(np.unique(code[label == 1])), len(np.unique(code[label == 0])), code.max() + 1
    if i10 < 2 or i01 < 2:
        return auc, np.full((k, k), np.nan)
    s10 = i10 / ((i10 - 1) * n1) * v10.T @ v10
    s01 = i01 / ((i01 - 1) * n0) * v01.T @ v01
    s11 = i / (i - 1) * v10.T @ v01
    return auc, s10 / n1 + s01 / n0 + (s11 + s11.T) / (n1 * n0)


def difference_test(auc: np.ndarray, covariance: np.ndarray) -> tuple[float, float, float]:
    """The first of two AUCs less the second, its standard error, and the two-sided p (normal).

    Two scores that rank alike have no error: p is 1 then.
    """
    difference = float(auc[0] - auc[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = float(np.sqrt(max(variance, 0)))
    if np.isnan(variance):
        return difference, float("nan"), float("nan")
    if error < 1e-12:
        return difference, 0.0, 1.0 if abs(difference) < 1e-12 else 0.0
    return difference, error, float(2 * norm.sf(abs(difference) / error))


def _sums(values: np.ndarray, code: np.ndarray, clusters: int) -> np.ndarray:
    return np.stack([np.bincount(code, weights=v, minlength=clusters) for v in values.T], axis=1)
