import numpy as np
import pyarrow as pa
import pytest
import torch
from training_sets import make_patients, make_set

from hnp_pipeline import study
from hnp_pipeline.training.tasks import AgeScale, Known, labels_of, task_of

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


def test_multiview_answers_for_patients() -> None:
    task = task_of("multiview", TRAINING)
    assert (task.units, task.pooled) == (10, True)
    assert task.known == ("age", "AP", "LAT", "LO", "RO", "FLEX", "EXT")
    _, examples = make_patients(30)
    columns = [examples["patient"].to_numpy(), examples["l2_3"].to_numpy()]
    differing = examples.set_column(
        examples.schema.get_field_index("l2_3"),
        "l2_3",
        pa.array(columns[1] * (np.arange(len(columns[1])) % 2)),
    )
    labels = labels_of(differing, task)[:, 1]
    for one in np.unique(columns[0]):
        own = columns[0] == one
        assert set(labels[own]) == {differing["l2_3"].to_numpy()[own].max()}


def test_what_is_not_known_stands_as_the_mean() -> None:
    task, views = task_of("multiview", TRAINING), ["LAT", "LAT", "AP", "EXT"]
    known = Known.of(np.array([30.0, 50.0, 70.0, 50.0]), views)
    assert known.views == (0.25, 0.5, 0, 0, 0, 0.25)
    columns = known.columns(task, np.array([50.0, np.nan, 70, 30]), views, 4)
    assert columns.shape == (4, 7) and columns.dtype == np.float32
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-7)
    assert columns[0].tolist() == [0, -0.25, 0.5, 0, 0, 0, -0.25] and columns[1, 0] == 0
    assert not known.columns(task, None, None, 3).any()
    assert not known.columns(task, None, ["SKYLINE"], 1).any()
    assert known.columns(task_of("level", TRAINING), None, None, 3).shape == (3, 0)
