"""Predictions as matrices: one row an image (or a patient), one column a level."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.errors import StepError
from hnp_pipeline.vocabulary import HNP, LEVELS, outputs, unit


@dataclass(frozen=True)
class Scores:
    """Probabilities and labels of n examples at L levels, and whose they are.

    Patients are sorted by key and examples by patient, so that nothing depends on the order of rows.
    """

    levels: tuple[str, ...]
    probability: np.ndarray  # float64 (n, L)
    label: np.ndarray  # int8 (n, L)
    patient: np.ndarray  # int64 (n,): position in `patients`, not falling
    patients: np.ndarray  # the P patient keys, sorted
    images: np.ndarray  # the n image ids; the patient keys once taken by patient
    unit: str = "image"  # what an example is: an image, or a patient, who then is the only one of theirs

    def with_hnp(self) -> "Scores":
        """With the column `hnp` added where the levels are the five: largest probability, any label."""
        if self.levels != LEVELS:
            return self
        return replace(
            self,
            levels=(*LEVELS, HNP),
            probability=np.c_[self.probability, self.probability.max(axis=1)],
            label=np.c_[self.label, self.label.max(axis=1)],
        )

    def by_patient(self) -> "Scores":
        """One row a patient: the mean of the images' probabilities, positive if any image is (design 4, 8).

        For a patient's `hnp` take this first and `with_hnp` after: the largest of the patient's five.
        """
        n = len(self.patients)
        first = np.searchsorted(self.patient, np.arange(n))
        probability, label = self.probability[:0], self.label[:0]
        if n:
            sums = np.add.reduceat(self.probability, first, axis=0)
            probability = sums / np.bincount(self.patient, minlength=n)[:, None]
            label = np.maximum.reduceat(self.label, first, axis=0)
        return replace(
            self,
            probability=probability,
            label=label,
            patient=np.arange(n),
            images=self.patients,
            unit="patient",
        )

    def units(self) -> dict[str, "Scores"]:
        """With `hnp`, by image and by patient; by patient alone where an example is a patient."""
        patients = {"patient": self.by_patient().with_hnp()}
        return patients if self.unit == "patient" else {"image": self.with_hnp()} | patients

    def only(self, keep: np.ndarray) -> "Scores":
        """The examples where `keep` (n,) is true, and their patients."""
        present, patient = np.unique(self.patient[keep], return_inverse=True)
        return replace(
            self,
            probability=self.probability[keep],
            label=self.label[keep],
            patient=patient,
            patients=self.patients[present],
            images=self.images[keep],
        )


def pivot(predictions: pa.Table, task: str) -> Scores:
    """The matrices of one model's predictions at the task's own outputs.

    Args:
        predictions: image_id, patient_key, level, probability, label; one row an image and output, any order.
            Of a task that answers for patients, one row a patient and output, under one of the patient's images.
        task: whose outputs they are.

    Raises:
        StepError: an image lacks an output or has it twice, belongs to two patients, or has a probability
            that is not finite or a label that is neither 0 nor 1.
    """
    levels = outputs(task)
    images = predictions.group_by(["patient_key", "image_id"]).aggregate([])
    images = images.sort_by([("patient_key", "ascending"), ("image_id", "ascending")])
    names = images["image_id"].combine_chunks()
    n = len(names)
    row = pc.index_in(predictions["image_id"], value_set=names).to_numpy()
    column = pc.fill_null(pc.index_in(predictions["level"], value_set=pa.array(levels)), -1).to_numpy()
    cell = row * len(levels) + column
    if (
        len(names.unique()) != n
        or (column < 0).any()
        or not np.array_equal(np.sort(cell), np.arange(n * len(levels)))
    ):
        raise StepError(
            f"the predictions of task {task} are not one row an image and output ({', '.join(levels)}): "
            f"found {predictions.num_rows} rows for {n} images; train and predict again"
        )
    probability = np.empty(n * len(levels))
    probability[cell] = pc.fill_null(predictions["probability"], np.nan).to_numpy()
    label = np.empty(n * len(levels), np.int8)
    label[cell] = pc.fill_null(predictions["label"], -1).to_numpy()
    if not np.isfinite(probability).all() or not np.isin(label, (0, 1)).all():
        raise StepError(
            f"the predictions of task {task} hold a probability that is not a number or a label that is "
            "neither 0 nor 1; check the training run of its folds"
        )
    keys = images["patient_key"].combine_chunks().dictionary_encode()  # sorted, so codes rise
    return Scores(
        levels,
        probability.reshape(n, -1),
        label.reshape(n, -1),
        keys.indices.to_numpy().astype(np.int64),
        keys.dictionary.to_numpy(zero_copy_only=False),
        names.to_numpy(zero_copy_only=False),
        unit(task),
    )


def fold_scores(predictions: pa.Table, task: str) -> tuple[list[Scores], list[int]]:
    """Each fold model's scores of its images, and the folds, rising.

    Raises:
        StepError: as `pivot` does.
    """
    of_task = select(predictions, task=task)
    folds = folds_in(of_task)
    return [pivot(select(of_task, fold=fold), task) for fold in folds], folds


def pooled(parts: Sequence[Scores]) -> Scores:
    """Scores of disjoint patients as one."""
    keys = np.concatenate([s.patients[s.patient] for s in parts])
    patients, patient = np.unique(keys.astype(str), return_inverse=True)
    order = np.argsort(patient, kind="stable")
    return Scores(
        parts[0].levels,
        np.concatenate([s.probability for s in parts])[order],
        np.concatenate([s.label for s in parts])[order],
        patient[order],
        patients,
        np.concatenate([s.images for s in parts])[order],
        parts[0].unit,
    )


def tasks_in(table: pa.Table) -> list[str]:
    """The tasks of a table of predictions, sorted."""
    return sorted(table["task"].unique().to_pylist())


def folds_in(table: pa.Table) -> list[int]:
    """The folds of a table of predictions, rising."""
    return sorted(table["fold"].unique().to_pylist())


def select(table: pa.Table, **equal: str | int) -> pa.Table:
    """The rows whose columns equal these values."""
    for name, value in equal.items():
        table = table.filter(pc.equal(table[name], value))
    return table
