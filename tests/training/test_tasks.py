import numpy as np
import pytest
import torch
from training_sets import make_set

from hnp_pipeline import study
from hnp_pipeline.training.tasks import AgeScale, labels_of, task_of

TRAINING = study.Training()


def test_outputs_and_units() -> None:
    assert task_of("presence", TRAINING).outputs == ("hnp",)
    assert task_of("level", TRAINING).units == 5
    assert task_of("multitask", TRAINING).units == 6
    by_input = task_of("multitask", TRAINING.model_copy(update={"age": "input"}))
    assert by_input.units == 5 and by_input.age == "input"
    assert task_of("level", TRAINING.model_copy(update={"age": "input"})).age is None
    with pytest.raises(ValueError, match="no task"):
        task_of("severity", TRAINING)


def test_loss_is_cross_entropy_and_weighted_squared_error() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(7, 6)), (rng.random((7, 5)) < 0.5).astype(float)
    age = rng.normal(size=7)
    p = 1 / (1 + np.exp(-logits[:, :5]))
    entropy = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    squared = ((logits[:, 5] - age) ** 2).mean()
    given = [torch.from_numpy(a) for a in (logits, labels, age)]
    assert task_of("multitask", TRAINING).loss(*given).item() == pytest.approx(
        entropy + 0.1 * squared, abs=1e-12
    )
    given[0] = given[0][:, :5]
    assert task_of("level", TRAINING).loss(*given).item() == pytest.approx(entropy, abs=1e-12)


def test_labels_stand_in_the_order_of_the_outputs() -> None:
    _, examples = make_set(20)
    labels = labels_of(examples, task_of("level", TRAINING))
    assert labels.dtype == np.float32
    assert labels[:, 3].tolist() == examples["l4_5"].to_pylist()
    assert labels_of(examples, task_of("presence", TRAINING))[:, 0].tolist() == examples["hnp"].to_pylist()


def test_age_scale() -> None:
    scale = AgeScale.of(np.array([30.0, 50.0, 70.0, np.nan]))
    standardised = scale.standardise(np.array([50.0, 70.0, np.nan]), 3)
    np.testing.assert_allclose(standardised, [0, 20 / np.std([30, 50, 70]), 0], rtol=1e-6)
    assert scale.standardise(None, 2).tolist() == [0, 0]
    assert AgeScale.of(np.array([40.0, 40.0])).standardise(np.array([41.0]), 1).tolist() == [1]
