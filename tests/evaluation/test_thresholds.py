import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from hnp_pipeline.evaluation.thresholds import decide, threshold


def _search(probability: np.ndarray, label: np.ndarray, rule: str) -> tuple[float, float]:
    """The best gain over every possible cut, and the highest cut that reaches it."""
    gains = {}
    for cut in [*np.unique(probability), np.inf]:
        called = probability >= cut
        if rule == "youden":
            gains[cut] = recall_score(label, called) + recall_score(1 - label, ~called) - 1
        else:
            gains[cut] = f1_score(label, called, zero_division=0)
    best = max(gains.values())
    return best, max(c for c, gain in gains.items() if gain > best - 1e-12 and np.isfinite(c))


@pytest.mark.parametrize("rule", ["youden", "f1"])
@pytest.mark.parametrize("digits", [1, 2, 8])  # from nearly all ties to none
def test_agrees_with_a_search_over_every_cut(rule: str, digits: int) -> None:
    rng = np.random.default_rng(digits)
    for n in (2, 3, 7, 40, 200):
        label = np.r_[1, 0, rng.integers(0, 2, n - 2)].astype(np.int8)
        probability = np.clip(rng.normal(0.4 + 0.2 * label, 0.3), 0, 1).round(digits)
        assert threshold(probability, label, rule) == _search(probability, label, rule)[1]


def test_equal_cuts_take_the_highest() -> None:
    # cut .8: J = 1/2 + 1 - 1; cut .2: J = 1 + 1/2 - 1
    assert threshold(np.array([0.1, 0.2, 0.5, 0.8]), np.array([0, 1, 0, 1]), "youden") == 0.8


def test_a_model_worse_than_chance_still_has_a_threshold() -> None:
    assert threshold(np.array([0.1, 0.9]), np.array([1, 0]), "youden") == 0.1


@pytest.mark.parametrize("label", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_gives_none_unless_fixed(label: list[int]) -> None:
    y = np.array(label, np.int8)
    p = np.linspace(0, 1, len(y))
    assert np.isnan(threshold(p, y, "youden"))
    assert np.isnan(threshold(p, y, "f1"))
    assert threshold(p, y, 0.4) == 0.4


def test_positive_from_the_threshold_up() -> None:
    decided = decide(np.array([[0.5, 0.5], [0.49, 0.9]]), np.array([0.5, np.nan]))
    np.testing.assert_array_equal(decided, [[1, np.nan], [0, np.nan]])
