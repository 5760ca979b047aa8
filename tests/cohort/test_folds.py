from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from hnp_pipeline.cohort.folds import assign_folds
from hnp_pipeline.vocabulary import LEVELS

PREVALENCES = np.array([0.0311, 0.0610, 0.1120, 0.2916, 0.2487])  # Table 1
CORRELATION = 0.24
TABLE_1 = np.array(
    [0.0032, 0.0032, 0.0036, 0.0056, 0.0024]
)  # its largest deviation of a fold's share, by level
FOLDS = 4
Array = np.ndarray[Any, np.dtype[Any]]


def cohort(patients: int, seed: int, second_visits: float = 0.1) -> tuple[Array, Array]:
    """Images a patient and positive images at each level (and any), from the phantom's label model."""
    random = np.random.default_rng(seed)

    def labels() -> Array:
        shared, own = random.standard_normal((patients, 1)), random.standard_normal((patients, 5))
        latent = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
        levels = latent < norm.ppf(PREVALENCES)
        return np.column_stack([levels, levels.any(axis=1)]).astype(int)

    images = 1 + random.binomial(11, 4.2 / 11, patients)  # 1 to 12, 5.2 on average
    later = np.where(random.random(patients) < second_visits, random.binomial(images, 0.5), 0)
    return images, labels() * (images - later)[:, None] + labels() * later[:, None]


def largest_deviation(images: Array, positives: Array, fold: Array) -> Array:
    shares = np.array([positives[fold == k].sum(axis=0) / images[fold == k].sum() for k in range(FOLDS)])
    return np.abs(shares - positives.sum(axis=0) / images.sum()).max(axis=0)


@pytest.mark.parametrize("second_visits", [0.1, 1.0])
def test_at_the_papers_size(second_visits: float) -> None:
    images, positives = cohort(31_149, 1, second_visits)
    fold = assign_folds(images, positives, FOLDS)
    assert set(fold) == set(range(FOLDS))
    assert (largest_deviation(images, positives, fold)[:5] <= TABLE_1 / 40).all()  # the target is a quarter
    sizes = np.bincount(fold, images)
    assert sizes.max() - sizes.min() <= 3
    patients = np.bincount(fold)
    assert patients.max() - patients.min() <= 3


@pytest.mark.parametrize("patients", [8, 20, 40, 100])
def test_small_cohorts_beat_twenty_thousand_random_deals(patients: int) -> None:
    images, positives = cohort(patients, 5, 0.3)
    counts = np.column_stack([np.ones_like(images), images, positives])
    totals = np.maximum(counts.sum(axis=0), 1)

    def imbalance(fold: Array) -> float:
        sums = np.array([counts[fold == k].sum(axis=0) for k in range(FOLDS)])
        return float((((sums - totals / FOLDS) ** 2) / totals).sum())

    random = np.random.default_rng(0)
    dealt = np.arange(patients) % FOLDS
    best = min(imbalance(random.permutation(dealt)) for _ in range(3000))
    assert imbalance(assign_folds(images, positives, FOLDS)) <= best


@given(st.integers(0, 2**32 - 1), st.integers(4, 60))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_every_fold_has_both_classes_at_one_level(seed: int, patients: int) -> None:
    """With one level to serve this can always be done, however rare it is."""
    random = np.random.default_rng(seed)
    images = random.integers(1, 12, patients)
    positives = np.zeros((patients, 1), int)
    chosen = random.permutation(patients)[: random.integers(4, patients + 1)]
    positives[chosen, 0] = random.integers(1, images[chosen] + 1)
    fold = assign_folds(images, positives, FOLDS)
    assert set(fold[positives[:, 0] > 0]) == set(range(FOLDS))
    if (positives[:, 0] < images).sum() >= FOLDS:
        assert set(fold[positives[:, 0] < images]) == set(range(FOLDS))


@pytest.mark.parametrize("seed", range(10))
def test_rare_levels_reach_every_fold(seed: int) -> None:
    images, positives = cohort(150, seed)
    fold = assign_folds(images, positives, FOLDS)
    served = 0
    for level in range(len(LEVELS)):
        patients = positives[:, level] > 0
        if patients.sum() >= FOLDS:
            assert set(fold[patients]) == set(range(FOLDS))
            served += 1
    assert served >= 3


def test_who_goes_where_follows_the_order_of_patients_alone() -> None:
    images, positives = np.full(8, 5), np.zeros((8, 6), int)
    fold = assign_folds(images, positives, FOLDS)
    assert np.bincount(fold).tolist() == [2, 2, 2, 2]
    assert (assign_folds(images, positives, FOLDS) == fold).all()


@pytest.mark.parametrize("patients", [0, 1, 3])
def test_fewer_patients_than_folds(patients: int) -> None:
    fold = assign_folds(np.full(patients, 2), np.ones((patients, 6), int), FOLDS)
    assert len(set(fold)) == patients
