"""What a network is asked: its outputs, the part that age plays, the loss."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from hnp_pipeline import study, vocabulary


@dataclass(frozen=True)
class Task:
    """`presence`: any herniation; `level`: the five levels; `multitask`: the five, and age (paper, 3.3).

    Attributes:
        name: its word in `vocabulary.TASKS`.
        outputs: the levels it predicts.
        age: `target` (one more unit predicts it), `input` (one more feature holds it), or None.
        age_weight: the weight of the age's squared error in the loss.
    """

    name: str
    outputs: tuple[str, ...]
    age: Literal["target", "input"] | None
    age_weight: float

    @property
    def units(self) -> int:
        """Units of the last layer: the outputs first, then the age where it is a target."""
        return len(self.outputs) + (self.age == "target")

    def loss(self, logits: Tensor, labels: Tensor, age: Tensor) -> Tensor:
        """Binary cross-entropy, the mean over images and outputs, and the age's weighted mean squared error.

        `logits` (B, units), `labels` (B, outputs) of 0 and 1, `age` (B,) standardised.
        """
        count = len(self.outputs)
        loss = binary_cross_entropy_with_logits(logits[:, :count], labels)
        return loss + self.age_weight * mse_loss(logits[:, count], age) if self.age == "target" else loss


def task_of(name: str, training: study.Training) -> Task:
    """The task of that name under the settings.

    Raises:
        ValueError: there is no such task.
    """
    age = training.age if name == "multitask" else None
    return Task(name, vocabulary.outputs(name), age, training.age_loss_weight)


def labels_of(examples: pa.Table, task: Task) -> np.ndarray:
    """The task's labels: float32 (n, outputs) of 0 and 1."""
    return np.column_stack([examples[k].to_numpy() for k in task.outputs]).astype(np.float32)


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
