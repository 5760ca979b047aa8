"""What fold models say of a test set, whether they answer for images or for patients."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation.test_predictions import predict_test
from hnp_pipeline.prediction import Pixels
from hnp_pipeline.training.backbone import build_model
from hnp_pipeline.training.inference import FoldModel, predict, predict_patients
from hnp_pipeline.training.tasks import AgeScale, Known, task_of
from hnp_pipeline.vocabulary import LEVELS, VIEWS

TRAINING = study.Training(backbone="test_efficientnet", weights=study.Weights(source="random"))


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    return Pixels(np.random.default_rng(0).integers(0, 256, (9, 64, 64), np.uint8))


@pytest.fixture(scope="module")
def examples() -> pa.Table:
    """Three patients with two, four and three images, mixed; only one image of the first is positive at L4-5."""
    patient = np.array([2, 0, 1, 1, 0, 2, 1, 1, 2])
    labels = {level: np.zeros(9, np.int8) for level in LEVELS}
    labels["l4_5"][4] = 1
    return pa.table(
        {
            "image_id": [f"image{i}" for i in range(9)],
            "patient_key": [f"patient{p}" for p in patient],
            "sha256": [f"{(7 * i) % 9:064x}" for i in range(9)],
            "age": pa.array([50.0, 30, None, None, 30, 50, None, None, 50]),
            "view": [VIEWS[i % len(VIEWS)] for i in range(9)],
            **labels,
            "hnp": labels["l4_5"],
        }
    )


def fold_models(name: str) -> list[FoldModel]:
    task, known = task_of(name, TRAINING), Known(AgeScale(50, 10), (1 / len(VIEWS),) * len(VIEWS))
    models = []
    for fold in range(2):
        torch.manual_seed(fold)
        network = build_model(TRAINING, task.units, len(task.known)).eval().requires_grad_(False)
        network.classifier.weight.mul_(20)  # so that answers differ
        imaging, cpu = study.Imaging(size=64), torch.device("cpu")
        models.append(FoldModel(network, task, fold, known, TRAINING, imaging, cpu, {}))
    return models


def test_a_row_a_model_image_and_level(pictures: Pixels, examples: pa.Table) -> None:
    models = fold_models("level")
    rows, attention = predict_test(models, pictures, examples, threads=1)
    assert rows.schema == schemas.schema(schemas.TEST_IMAGE_PREDICTIONS)
    found = rows.to_pandas().pivot(index="image_id", columns=["fold", "level"], values="probability")
    expected = predict(models, pictures, examples["age"].to_numpy(), threads=1)
    for fold in range(2):
        np.testing.assert_array_equal(found[fold][list(LEVELS)], expected[fold])
    labels = rows.to_pandas().query("level == 'l4_5' and fold == 1").set_index("image_id")["label"]
    assert labels[labels == 1].index.tolist() == ["image4"]
    assert attention.num_rows == 0


def test_a_row_a_model_patient_and_level_where_models_answer_for_patients(
    pictures: Pixels, examples: pa.Table
) -> None:
    models = fold_models("multiview")
    rows, attention = predict_test(models, pictures, examples, threads=1)
    assert rows.schema == schemas.schema(schemas.TEST_IMAGE_PREDICTIONS) and rows.num_rows == 2 * 3 * 5
    table = rows.to_pandas()
    lowest = examples.to_pandas().sort_values("sha256").drop_duplicates("patient_key")
    assert dict(zip(table.patient_key, table.image_id, strict=True)) == dict(
        zip(lowest.patient_key, lowest.image_id, strict=True)
    )
    patient = np.array([int(key[-1]) for key in examples["patient_key"].to_pylist()])
    said = predict_patients(
        models, pictures, patient, examples["age"].to_numpy(), examples["view"].to_numpy(), threads=1
    )
    for fold in range(2):
        wide = table[table.fold == fold].pivot(index="patient_key", columns="level", values="probability")
        np.testing.assert_array_equal(wide[list(LEVELS)], said.probability[fold])
    positive = table[table.label == 1]
    assert set(positive.patient_key) == {"patient0"} and set(positive.level) == {"l4_5"}
    share, count = attention["share"].to_numpy(), attention["images"].to_numpy()
    assert attention["view"].to_pylist() == list(VIEWS) and count.tolist() == [2, 2, 2, 1, 1, 1]
    assert np.average(share, weights=count) == pytest.approx(1) and np.ptp(share) > 1e-3
