import numpy as np
import pytest
from scipy.stats import norm

from hnp_pipeline.evaluation.bootstrap import auc_draws, resample
from hnp_pipeline.evaluation.delong import auc_covariance, difference_test


def _psi(x: float, y: float) -> float:
    return 1.0 if x > y else 0.5 if x == y else 0.0


def _by_definition(
    score: np.ndarray, label: np.ndarray, cluster: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Obuchowski 1997 in loops over pairs and clusters, as printed."""
    pos, neg = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    k = score.shape[1]
    v10 = np.array([[np.mean([_psi(score[i, r], score[j, r]) for j in neg]) for r in range(k)] for i in pos])
    v01 = np.array([[np.mean([_psi(score[i, r], score[j, r]) for i in pos]) for r in range(k)] for j in neg])
    auc = v10.mean(axis=0)
    names = np.unique(cluster)
    a = np.array([(v10[cluster[pos] == c] - auc).sum(axis=0) for c in names])
    b = np.array([(v01[cluster[neg] == c] - auc).sum(axis=0) for c in names])
    i10 = len(np.unique(cluster[pos]))
    i01 = len(np.unique(cluster[neg]))
    n1, n0, i = len(pos), len(neg), len(names)
    s10, s01, s11 = np.zeros((3, k, k))
    for p, q in zip(a, b, strict=True):
        s10 += i10 / ((i10 - 1) * n1) * np.outer(p, p)
        s01 += i01 / ((i01 - 1) * n0) * np.outer(q, q)
        s11 += i / (i - 1) * np.outer(p, q)
    return auc, s10 / n1 + s01 / n0 + s11 / (n1 * n0) + s11.T / (n1 * n0)


@pytest.mark.parametrize("digits", [1, 6])
def test_clusters_agree_with_the_definition(digits: int) -> None:
    rng = np.random.default_rng(digits)
    cluster = rng.integers(0, 12, 45)
    label = rng.integers(0, 2, 45)
    score = (rng.normal(size=(45, 3)) + label[:, None] * 0.7).round(digits)
    got, expected = auc_covariance(score, label, cluster), _by_definition(score, label, cluster)
    np.testing.assert_allclose(got[0], expected[0], atol=1e-12)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-12)


def test_one_example_a_cluster_is_delongs() -> None:
    """DeLong et al. 1988: sample covariances of the placements, over the numbers of each class."""
    rng = np.random.default_rng(3)
    label = np.r_[np.ones(14, int), np.zeros(20, int)]
    score = (rng.normal(size=(34, 2)) + label[:, None]).round(1)
    v10 = np.array([[np.mean([_psi(x[r], y[r]) for y in score[14:]]) for r in (0, 1)] for x in score[:14]])
    v01 = np.array([[np.mean([_psi(x[r], y[r]) for x in score[:14]]) for r in (0, 1)] for y in score[14:]])
    expected = np.cov(v10.T) / 14 + np.cov(v01.T) / 20
    auc, covariance = auc_covariance(score, label, np.arange(34))
    np.testing.assert_allclose(covariance, expected, atol=1e-12)
    difference, error, p = difference_test(auc, covariance)
    z = (v10[:, 0].mean() - v10[:, 1].mean()) / np.sqrt(expected[0, 0] + expected[1, 1] - 2 * expected[0, 1])
    assert difference / error == pytest.approx(z)
    assert p == pytest.approx(2 * (1 - norm.cdf(abs(z))))


def test_a_large_samples_error_is_the_bootstraps() -> None:
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(300), rng.integers(1, 8, 300))
    label = (rng.random(300) < 0.4).astype(int)[patient]
    score = rng.normal(size=300)[patient] + 0.6 * rng.normal(size=len(patient)) + 0.8 * label
    _, covariance = auc_covariance(score[:, None], label, patient)
    drawn = auc_draws(score, label, patient, resample(300, 2000, 0))[1:]
    assert np.sqrt(covariance[0, 0]) == pytest.approx(drawn.std(), rel=0.08)
    _, naive = auc_covariance(score[:, None], label, np.arange(len(patient)))
    assert naive[0, 0] < 0.5 * covariance[0, 0]  # images taken for patients promise too much


def test_what_cannot_be_had_is_nan() -> None:
    score = np.random.default_rng(0).normal(size=(6, 2))
    auc, covariance = auc_covariance(score, np.zeros(6, int), np.arange(6))
    assert np.isnan(auc).all() and np.isnan(covariance).all()
    auc, covariance = auc_covariance(score, np.array([1, 0, 0, 0, 0, 0]), np.arange(6))
    assert np.isfinite(auc).all() and np.isnan(covariance).all()
    assert np.isnan(difference_test(auc, covariance)[2])


def test_the_same_score_twice_does_not_differ() -> None:
    score = np.random.default_rng(0).normal(size=(20, 1)).repeat(2, axis=1)
    label = np.arange(20) % 2
    assert difference_test(*auc_covariance(score, label, np.arange(20))) == (0.0, 0.0, 1.0)
