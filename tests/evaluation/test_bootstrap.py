import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

from hnp_pipeline.evaluation.bootstrap import auc_draws, confusion_draws, interval, resample
from hnp_pipeline.evaluation.metrics import FIGURES, estimate
from hnp_pipeline.evaluation.scores import Scores
from hnp_pipeline.evaluation.thresholds import decide


def _scores(seed: int, patients: int = 40, digits: int = 2) -> Scores:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    label = (rng.random((len(patient), 2)) < 0.3).astype(np.int8)
    probability = np.clip(rng.normal(0.4 + 0.2 * label, 0.2), 0, 1).round(digits)
    names = np.arange(len(patient)).astype(object)
    return Scores(("l1_2", "l2_3"), probability, label, patient, np.arange(patients), names)


def test_counts_are_draws_of_patients_after_the_sample_itself() -> None:
    counts = resample(50, 300, 7)
    assert counts.shape == (301, 50)
    assert (counts[0] == 1).all()
    assert (counts.sum(axis=1) == 50).all()
    assert abs(counts[1:].var() - (1 - 1 / 50)) < 0.05  # multinomial
    np.testing.assert_array_equal(counts, resample(50, 300, 7))
    assert not np.array_equal(counts, resample(50, 300, 8))


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_every_figure_of_every_draw_is_scikit_learns(digits: int) -> None:
    s = _scores(digits, digits=digits)
    counts = resample(len(s.patients), 40, 1)
    predicted = decide(s.probability, np.array([0.45, 0.55]))
    e = estimate(s, predicted, counts, "image")
    assert e.draws.shape == (41, len(FIGURES), 2)
    for draw, count in zip(e.draws, counts, strict=True):
        rows = np.repeat(np.arange(len(s.patient)), count[s.patient])
        for j in range(2):
            y, p, d = s.label[rows, j], s.probability[rows, j], predicted[rows, j]
            prf = precision_recall_fscore_support(y, d, labels=[1, 0], zero_division=np.nan)
            expected = [
                roc_auc_score(y, p) if 0 < y.sum() < len(y) else np.nan,
                accuracy_score(y, d),
                *(prf[k][0] for k in range(3)),
                *(prf[k][1] for k in range(3)),
            ]
            np.testing.assert_allclose(draw[:, j], expected, atol=1e-9, rtol=0)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 4)), max_size=25),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
)
def test_weighted_auc_is_the_share_of_pairs_won(rows: list[tuple[int, bool, int]], counts: list[int]) -> None:
    score, label, patient = (np.array([r[i] for r in rows], int) for i in range(3))
    w = np.array(counts)
    pos = [(s, w[k]) for s, y, k in zip(score, label, patient, strict=True) if y]
    neg = [(s, w[k]) for s, y, k in zip(score, label, patient, strict=True) if not y]
    pairs = sum(a * b for _, a in pos for _, b in neg)
    won = sum(a * b * (1.0 if s > t else 0.5 if s == t else 0.0) for s, a in pos for t, b in neg)
    (auc,) = auc_draws(score, label, patient, w[None])
    assert auc == pytest.approx(won / pairs, abs=1e-12) if pairs else np.isnan(auc)


def test_a_column_without_threshold_has_no_confusion() -> None:
    label = np.array([[1, 1], [0, 0]])
    predicted = np.array([[1, np.nan], [1, np.nan]])
    table = confusion_draws(predicted, label, np.array([0, 1]), resample(2, 0, 0))
    np.testing.assert_array_equal(table[:, 0, 0], [1, 1, 0, 0])
    assert np.isnan(table[:, 0, 1]).all()


def test_interval_leaves_out_draws_without_a_value_until_they_are_too_many() -> None:
    draws = np.arange(1000.0)[:, None].repeat(3, axis=1)
    draws[:50, 1] = np.nan
    draws[:51, 2] = np.nan
    low, high = interval(draws, 0.95)
    assert (low[0], high[0]) == pytest.approx((24.975, 974.025))
    assert low[1] == pytest.approx(np.quantile(np.arange(50, 1000), 0.025))
    assert np.isnan([low[2], high[2]]).all()


def test_intervals_hold_the_true_auc() -> None:
    """A short form of benchmarks/intervals.py: 200 repetitions, clusters, 100 patients of each class."""
    rng = np.random.default_rng(5)
    label, patient = np.repeat([1, 0], 100), np.arange(200)
    held = 0
    for k in range(200):
        score = rng.normal(size=200) + label  # true AUC Φ(1/√2)
        low, high = interval(auc_draws(score, label, patient, resample(200, 400, k)), 0.95)
        held += bool(low <= 0.7602499389 <= high)
    assert 0.90 <= held / 200 <= 0.99
