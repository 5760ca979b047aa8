"""What each fold model says of the test set, as the table that everything else is computed from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.training.batches import Images
from hnp_pipeline.training.inference import FoldModel, predict, predict_patients
from hnp_pipeline.vocabulary import VIEWS, outputs


class Predictions(NamedTuple):
    """What was said, and by which views.

    Attributes:
        rows: TEST_IMAGE_PREDICTIONS. Models that answer for patients have one row a patient and level, under the
            image of the lowest sha256 and with the patient's label, as in validation.
        attention: view, images, share: how much models that answer for patients went by a view's images, 1 being
            an image's equal share among its patient's. No rows for other models.
    """

    rows: pa.Table
    attention: pa.Table


def predict_test(
    models: Sequence[FoldModel],
    images: Images,
    examples: pa.Table,
    threads: int | None = None,
    report: Report = silent,
) -> Predictions:
    """Ask every fold model about the test set.

    Args:
        models: of one task, by fold.
        images: the pictures, in the order of `examples`.
        examples: image_id, patient_key, sha256, age, view and the six labels, one row an image.
        threads: of the CPU; None: every core.
        report: told how far it is.

    Raises:
        StepError: a batch does not fit into memory.
    """
    task = models[0].task
    labels = np.column_stack([examples[name].to_numpy() for name in task.outputs])
    ages, nothing = examples["age"].to_numpy(), _attention(np.zeros(0), np.zeros(0, object))
    if not task.pooled:
        found = predict(models, images, ages, threads=threads, report=report)
        return Predictions(_rows(task.name, examples, found, labels), nothing)
    views = examples["view"].to_numpy()
    _, patient = np.unique(examples["patient_key"].to_numpy(), return_inverse=True)
    said = predict_patients(models, images, patient, ages, views, threads=threads, report=report)
    order = np.lexsort((examples["sha256"].to_numpy().astype(str), patient))
    starts = np.searchsorted(patient[order], said.patients)
    of_patient = np.maximum.reduceat(labels[order], starts, axis=0)
    rows = _rows(task.name, examples.take(pa.array(order[starts])), said.probability, of_patient)
    share = said.attention.mean(axis=(0, 2)) * np.bincount(patient)[patient]
    return Predictions(rows, _attention(share, views))


def _rows(task: str, examples: pa.Table, probability: np.ndarray, labels: np.ndarray) -> pa.Table:
    """Probabilities (models, n, outputs) and labels (n, outputs) as a long table, by fold, example and level."""
    models, n, k = probability.shape
    example = np.tile(np.repeat(np.arange(n), k), models)
    return pa.table(
        {
            "task": pa.array(np.full(len(example), task)),
            "fold": np.repeat(np.arange(models), n * k),
            "image_id": examples["image_id"].take(pa.array(example)),
            "patient_key": examples["patient_key"].take(pa.array(example)),
            "level": pa.array(np.tile(np.array(outputs(task)), models * n)),
            "probability": probability.reshape(-1),
            "label": np.tile(labels.reshape(-1), models),
        }
    ).cast(schemas.schema(schemas.TEST_IMAGE_PREDICTIONS))


def _attention(share: np.ndarray, views: np.ndarray) -> pa.Table:
    """The mean of images' shares (n,) by view (n,), in the order of the views."""
    there = [view for view in VIEWS if (views == view).any()]
    return pa.table(
        {
            "view": pa.array(there, pa.string()),
            "images": pa.array([int((views == view).sum()) for view in there], pa.int64()),
            "share": pa.array([float(share[views == view].mean()) for view in there], pa.float64()),
        }
    )
