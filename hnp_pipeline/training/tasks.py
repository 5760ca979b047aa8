"""What a network is asked: its outputs, the part that age plays, the loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hnp_pipeline import study, vocabulary
from hnp_pipeline.training.pooling import pooled


@dataclass(frozen=True)
class Task:
    """`presence`: any herniation; `level`: the five levels; `multitask`: the five, and age (paper, 3.3).
    `multiview`: the five, from all images of a patient at once, their views and the age known.

    Attributes:
        name: its word in `vocabulary.TASKS`.
        outputs: the levels it predicts.
        age: `target` (one more unit predicts it), `input` (one more feature holds it), or None.
        age_weight: the weight of the age's squared error in the loss.
        pooled: it answers for a patient, by attention over the patient's images (`pooling`).
        image_weight: where it does, the weight of the images' own answers in the loss.
    """

    name: str
    outputs: tuple[str, ...]
    age: Literal["target", "input"] | None
    age_weight: float
    pooled: bool = False
    image_weight: float = 0.0

    @property
    def units(self) -> int:
        """Units of the last layer: the outputs first, then the age (a target) or the outputs' attention scores."""
        return len(self.outputs) * (1 + self.pooled) + (self.age == "target")

    @property
    def known(self) -> tuple[str, ...]:
        """What the network is told of an image beside its pixels: the age, whether it is of this view."""
        return (("age",) if self.age == "input" else ()) + (vocabulary.VIEWS if self.pooled else ())

    def loss(self, logits: Tensor, labels: Tensor, age: Tensor, real: Tensor | None = None) -> Tensor:
        """Binary cross-entropy, the mean over rows and outputs, and the age's weighted mean squared error.

        `logits` (B, units), or (B, outputs) once they are pooled; `labels` (B, outputs) of 0 and 1; `age` (B,)
        standardised; `real` (B,) 0 for rows that count for nothing (they count in B), none: all are 1.
        """
        count = len(self.outputs)
        loss = _cross_entropy(logits[:, :count], labels, real)
        if self.age == "target":
            missed = (logits[:, count] - age) ** 2
            loss = loss + self.age_weight * (missed if real is None else missed * real).mean()
        return loss

    def pooled_loss(
        self, logits: Tensor, labels: Tensor, group: Tensor, weight: Tensor, real: Tensor | None = None
    ) -> Tensor:
        """Binary cross-entropy of the patients' answers, and `image_weight` times that of their images' own.

        A patient's answer alone teaches little: a batch holds a third as many answers as images, and an image that
        the attention passes over learns nothing (benchmarks/README.md has what their own answers bring).

        Args:
            logits: (B, units) of a batch's images.
            labels: (B, outputs) of 0 and 1, the patients'.
            group: (B,) which images are of one patient.
            weight: (B,) of the images in the patients' part, 1 on average over the whole batch.
            real: as in `loss`.
        """
        own = logits[:, : len(self.outputs)]
        of_patients = _cross_entropy(pooled(logits, group), labels, weight)
        return of_patients + self.image_weight * _cross_entropy(own, labels, real)


def _cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
    return binary_cross_entropy_with_logits(logits, labels, None if weight is None else weight[:, None])


def task_of(name: str, training: study.Training) -> Task:
    """The task of that name under the settings.

    Raises:
        ValueError: there is no such task.
    """
    by_patient = vocabulary.unit(name) == "patient"
    age = training.age if name == "multitask" else "input" if by_patient else None
    outputs = vocabulary.outputs(name)
    return Task(name, outputs, age, training.age_loss_weight, by_patient, training.image_loss_weight)


def labels_of(examples: pa.Table, task: Task) -> np.ndarray:
    """The task's labels: float32 (n, outputs) of 0 and 1.

    Where the task answers for a patient, an image has its patient's: positive if any of the patient's images is.
    """
    labels = np.column_stack([examples[k].to_numpy() for k in task.outputs]).astype(np.float32)
    if task.pooled:
        patients, code = np.unique(patients_of(examples), return_inverse=True)
        of_patient = np.zeros((len(patients), labels.shape[1]), np.float32)
        np.maximum.at(of_patient, code, labels)
        labels = of_patient[code]
    return labels


def patients_of(examples: pa.Table) -> np.ndarray:
    """Whose image each is (n,), by the patient's content: the lowest sha256 of the patient's images."""
    return examples["patient"].to_numpy().astype(str)


@dataclass(frozen=True)
class AgeScale:
    """The training images' mean age and standard deviation, in years."""

    mean: float
    std: float

    @classmethod
    def of(cls, ages: np.ndarray) -> "AgeScale":
        """Measured on the known `ages`; where they are all the same, a year is the unit."""
        known = ages[np.isfinite(ages)]
        return cls(float(known.mean()), float(known.std()) or 1.0) if len(known) else cls(0.0, 1.0)

    def standardise(self, ages: np.ndarray | None, count: int) -> np.ndarray:
        """Float32 (count,); an age that is not known (NaN, or no ages at all) stands as the mean."""
        if ages is None:
            return np.zeros(count, np.float32)
        return np.nan_to_num((np.asarray(ages, np.float64) - self.mean) / self.std).astype(np.float32)


@dataclass(frozen=True)
class Known:
    """What is known of images beside their pixels, so scaled that 0 stands for what is not known.

    Attributes:
        age: the scale of ages.
        views: each view's share of the training images, in the order of `vocabulary.VIEWS`.
    """

    age: AgeScale
    views: tuple[float, ...]

    @classmethod
    def of(cls, ages: np.ndarray, views: Sequence[str] | np.ndarray | None) -> "Known":
        """Measured on the training images."""
        shares = () if views is None else tuple(_is_view(views).mean(axis=0).tolist())
        return cls(AgeScale.of(ages), shares)

    def columns(
        self, task: Task, ages: np.ndarray | None, views: Sequence[str] | np.ndarray | None, count: int
    ) -> np.ndarray:
        """Float32 (count, len(task.known)); `ages` in years (NaN: not known), `views` (None: not known)."""
        columns = [self.age.standardise(ages, count)[:, None]] if "age" in task.known else []
        if task.pooled:
            is_view = np.zeros((count, len(vocabulary.VIEWS))) if views is None else _is_view(views)
            told = is_view.any(axis=1, keepdims=True)
            columns.append(np.where(told, is_view - np.array(self.views), 0).astype(np.float32))
        return np.hstack([np.zeros((count, 0), np.float32), *columns])


def _is_view(views: Sequence[str] | np.ndarray) -> np.ndarray:
    return np.array(views, dtype=object)[:, None] == np.array(vocabulary.VIEWS, dtype=object)
