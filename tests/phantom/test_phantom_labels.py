"""Labels and ceilings against the numbers of the design, and against sums done another way."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.metrics import roc_auc_score

from hnp_pipeline.phantom.labels import SIGNALS, ceilings, draw, own_auc, patterns, posterior, sample_auc


@pytest.mark.parametrize("name", SIGNALS)
def test_patterns_are_those_of_a_normal_copula(name):
    signal = SIGNALS[name]
    pattern, prior = patterns(signal)
    assert prior.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(prior @ pattern, signal.prevalences, atol=1e-6)
    threshold = norm.isf(signal.prevalences)
    cov = np.full((5, 5), 0.24) + 0.76 * np.eye(5)
    none = multivariate_normal(np.zeros(5), cov).cdf(threshold)
    assert prior[0] == pytest.approx(none, abs=1e-4)
    pair = multivariate_normal(np.zeros(2), cov[:2, :2]).cdf(-threshold[3:])
    assert prior[(pattern[:, 3] == 1) & (pattern[:, 4] == 1)].sum() == pytest.approx(pair, abs=1e-5)


def test_any_herniation_of_the_paper():
    assert 1 - patterns(SIGNALS["paper"])[1][0] == pytest.approx(0.507, abs=5e-4)


def test_draws_have_the_prevalences_and_effects():
    for signal in SIGNALS.values():
        labels, severity = draw(signal, 100_000, np.random.default_rng(1))
        np.testing.assert_allclose(labels.mean(0), signal.prevalences, atol=0.006)
        moved = [severity[labels[:, k] == 1, k].mean() for k in range(5)]
        np.testing.assert_allclose(moved, signal.effects, atol=0.06)
        np.testing.assert_allclose(severity[labels[:, 3] == 0, 3].std(), 1, atol=0.02)


def test_posterior_is_bayes_by_hand():
    signal = SIGNALS["paper"]
    x = np.array([0.3, -1.0, 2.0, 0.1, 1.4])
    pattern, prior = patterns(signal)
    joint = prior * norm.pdf(x - pattern * np.array(signal.effects)).prod(1)
    np.testing.assert_allclose(posterior(signal, x[None])[0], joint @ pattern / joint.sum(), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "ceiling"), [("strong", [0.954] * 5), ("paper", [0.738, 0.715, 0.687, 0.699, 0.720])]
)
def test_ceilings_are_those_of_the_design(name, ceiling):
    found = ceilings(SIGNALS[name], draws=300_000, seed=3)
    prevalence = np.array(SIGNALS[name].prevalences)
    error = 0.3 / np.sqrt(300_000 * prevalence)  # standard error of these AUCs, about
    assert (np.abs(found - ceiling) < 3 * error + 0.001).all()
    assert (found > own_auc(SIGNALS[name])).all()


def test_own_auc_is_that_of_the_severity():
    labels, severity = draw(SIGNALS["strong"], 50_000, np.random.default_rng(2))
    np.testing.assert_allclose(sample_auc(labels, severity), own_auc(SIGNALS["strong"]), atol=0.004)


def test_sample_auc_is_scikit_learns():
    rng = np.random.default_rng(4)
    labels = (rng.random((300, 3)) < 0.3).astype(int)
    labels[:, 2] = 0
    scores = rng.integers(0, 20, (300, 3)) + labels
    found = sample_auc(labels, scores)
    assert found[0] == pytest.approx(roc_auc_score(labels[:, 0], scores[:, 0]), abs=1e-12)
    assert found[1] == pytest.approx(roc_auc_score(labels[:, 1], scores[:, 1]), abs=1e-12)
    assert np.isnan(found[2])
