"""One fold's examples as its training takes them: who is trained on, who is asked, what is known of each."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hnp_pipeline.training.batches import Batches, epoch_order
from hnp_pipeline.training.pooling import answers, patient_batches
from hnp_pipeline.training.tasks import Known, Task, labels_of, patients_of


@dataclass(frozen=True)
class FoldData:
    """Every image of the development set, in the order of the examples.

    Attributes:
        sha256: (n,).
        train, validation: positions of the other folds' images, and of the held-out fold's.
        asked: the images that stand for an answer: each of validation, or the first of each of its patients.
        labels: float32 (n, outputs).
        ages: float32 (n,), standardised.
        known: float32 (n, inputs), what the network is told beside the pixels.
        scale: of ages and views, measured on `train`.
        patient: (n,) whose each is, where the task answers for patients.
    """

    sha256: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    asked: np.ndarray
    labels: Tensor
    ages: Tensor
    known: Tensor
    scale: Known
    patient: np.ndarray | None

    @classmethod
    def of(cls, examples: pa.Table, task: Task, fold: int) -> "FoldData":
        """From the examples that `train_fold` takes."""
        held_out = examples["fold"].to_numpy() == fold
        train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        years = examples["age"].to_numpy().astype(np.float64)
        views = examples["view"].to_numpy() if task.pooled else None
        patient = patients_of(examples) if task.pooled else None
        asked = validation
        if patient is not None:
            asked = validation[np.unique(patient[validation], return_index=True)[1]]
        scale = Known.of(years[train], None if views is None else views[train])
        return cls(
            examples["sha256"].to_numpy(),
            train,
            validation,
            asked,
            torch.from_numpy(labels_of(examples, task)),
            torch.from_numpy(scale.age.standardise(years, len(years))),
            torch.from_numpy(scale.columns(task, years, views, len(years))),
            scale,
            patient,
        )

    def batches(self, size: int, seed: int) -> Batches:
        """An epoch's batches of `train`."""
        if self.patient is None:
            return Batches(epoch_order(self.train, size, seed))
        return patient_batches(self.patient, self.train, size, seed)

    def answered(self, logits: np.ndarray) -> np.ndarray:
        """What `asked` are answered (asked, units), from the logits (n, units) of `validation`'s images."""
        if self.patient is None:
            return logits
        return answers(logits, self.patient[self.validation])[0].astype(np.float32)
