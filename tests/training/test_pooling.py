"""Attention over a patient's images: the same in training and in inference, whole patients in each batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import make_patients

from hnp_pipeline import study
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.inference import load_model, predict, predict_patients
from hnp_pipeline.training.pooling import answers, patient_batches, pooled

IMAGING = study.Imaging(size=32)


def _by_definition(logits: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """The formula, a patient and a level at a time."""
    levels = logits.shape[1] // 2
    rows = []
    for one in np.unique(patient):
        own, score = np.split(logits[patient == one].astype(np.float64), 2, axis=1)
        weight = np.exp(score) / np.exp(score).sum(axis=0)
        rows.append([weight[:, k] @ own[:, k] for k in range(levels)])
    return np.array(rows)


@pytest.mark.parametrize("levels", [1, 5])
def test_training_and_inference_follow_the_formula(levels: int) -> None:
    rng = np.random.default_rng(0)
    patient = rng.permutation(np.repeat(np.arange(9), rng.integers(1, 7, 9)))
    logits = rng.normal(0, 3, (len(patient), 2 * levels)).astype(np.float32)
    expected = _by_definition(logits, patient)
    found, attention = answers(logits, patient)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for one in range(9):
        np.testing.assert_allclose(attention[patient == one].sum(axis=0), 1)
    by_row = pooled(torch.from_numpy(logits), torch.from_numpy(patient))
    np.testing.assert_allclose(by_row.numpy(), expected[patient], atol=1e-4)
    both, _ = answers(np.stack([logits, 2 * logits]), patient)
    np.testing.assert_allclose(both[0], expected, atol=1e-12)


def test_far_out_scores_and_nobody() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, attention = answers(np.array([[1.0, 2000.0], [7.0, 0.0], [3.0, -1000.0]]), np.array([4, 4, 2]))
    assert found.tolist() == [[3], [1]] and attention.tolist() == [[1], [0], [1]]
    assert [part.shape for part in answers(np.zeros((2, 0, 10)), np.zeros(0))] == [(2, 0, 5), (2, 0, 5)]


@pytest.mark.parametrize("size", [4, 16, 500])
def test_batches_hold_whole_patients(size: int) -> None:
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(60), rng.integers(1, 8, 60)).astype(str)
    positions = np.flatnonzero(rng.random(len(patient)) < 0.8)
    order, group, weight, _ = patient_batches(patient, positions, size, seed=3)
    assert group is not None and weight is not None
    assert order.shape == group.shape == weight.shape and order.shape[1] == min(size, len(positions))
    assert set(order.ravel()) <= set(positions)
    met: list[str] = []
    for images, groups, weights in zip(order, group, weight, strict=True):
        own = groups >= 0
        for one in np.unique(groups[own]):
            (whose,) = set(patient[images[groups == one]])
            everything = positions[patient[positions] == whose]
            if len(everything) <= size:
                assert sorted(images[groups == one]) == sorted(everything)
            else:
                assert len(set(images[groups == one])) == size
            met.append(whose)
            assert weights[groups == one].sum() == pytest.approx(len(images) / len(np.unique(groups[own])))
        assert 2 * own.sum() >= len(images) and (weights[~own] == 0).all()
    assert len(met) == len(set(met)) >= 0.9 * len(set(patient[positions]))
    again = patient_batches(patient, positions, size, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip((order, group, weight), again[:3], strict=True))
    assert not np.array_equal(order[0], patient_batches(patient, positions, size, seed=4).order[0])


def test_learns_which_view_to_look_at(tiny: study.Training, tmp_path: Path) -> None:
    images, examples = make_patients(90)
    training = tiny.model_copy(update={"epochs": 8, "restart_epochs": 8, "batch_size": 16})
    result = train_fold(images, examples, "multiview", 1, training, IMAGING, tmp_path, threads=1)
    assert (result.history[result.best_epoch - 1].mean_auc or 0) > 0.75
    fold = examples["fold"].to_numpy()
    patient, view = (examples[k].to_numpy().astype(str) for k in ("patient", "view"))
    held_out = np.unique(patient[fold == 1])
    table = result.predictions
    assert table["sha256"].to_pylist() == np.repeat(held_out, 5).tolist()  # a row a patient and level
    labels = {p: examples["l4_5"].to_numpy()[patient == p].max() for p in held_out}
    l4_5 = table.filter(np.array(table["level"].to_pylist()) == "l4_5")
    assert l4_5["label"].to_pylist() == [labels[p] for p in held_out]

    model = load_model(tmp_path)
    with pytest.raises(ValueError, match="predict_patients"):
        predict([model], images)
    ages = examples["age"].to_numpy()
    said = predict_patients([model, model], images, patient, ages, view, batch_size=16, threads=1)
    assert said.patients.tolist() == sorted(set(patient)) and said.probability.shape == (2, 90, 5)
    mine = said.probability[0][np.isin(said.patients, held_out)]
    np.testing.assert_allclose(mine.ravel(), table["probability"].to_numpy(), atol=1e-6)
    several = (
        np.bincount(np.unique(patient, return_inverse=True)[1])[np.unique(patient, return_inverse=True)[1]]
        > 2
    )
    attention = said.attention[0][several].mean(axis=1)
    assert attention[view[several] == "LAT"].mean() > 1.5 * attention[view[several] != "LAT"].mean()
    unknown = predict_patients([model], images, patient, threads=1)
    assert not np.allclose(unknown.probability, said.probability[:1])


class Stop(BaseException):
    """As a keyboard interrupt comes."""


def test_interrupted_equals_uninterrupted(tiny: study.Training, tmp_path: Path) -> None:
    images, examples = make_patients(24)

    def train(folder: str, **options) -> bytes:
        train_fold(images, examples, "multiview", 0, tiny, IMAGING, tmp_path / folder, threads=1, **options)
        return (tmp_path / folder / "model.safetensors").read_bytes()

    def stop(_) -> None:
        raise Stop

    with pytest.raises(Stop):
        train("parts", on_epoch=stop)
    assert train("parts") == train("whole")
