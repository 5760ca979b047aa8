"""What a fold's training hands back: its result, or the images that it failed on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas
from hnp_pipeline.errors import StepError
from hnp_pipeline.training.epochs import EpochResult
from hnp_pipeline.training.inference import probabilities


@dataclass(frozen=True)
class FoldResult:
    """What a training came to.

    Attributes:
        directory: holds model.safetensors, model.json and predictions.parquet.
        best_epoch: whose weights and predictions those are.
        history: every epoch, those before an interruption too.
        predictions: sha256, level, probability, label of the held-out fold (`predictions_table`).
        seconds: by stage, over all epochs: loading (the trial of layouts, the set's way to a GPU), data_wait,
            forward_backward, validation, checkpoint.
        resumed_epochs: how many epochs came from a checkpoint.
        memory_format: the layout that it was trained in.
    """

    directory: Path
    best_epoch: int
    history: list[EpochResult]
    predictions: pa.Table
    seconds: dict[str, float]
    resumed_epochs: int
    memory_format: str

    @property
    def data_share(self) -> float:
        """The part of a training step that passes before its pictures are there: 0 to 1."""
        waited = self.seconds["data_wait"]
        return waited / ((waited + self.seconds["forward_backward"]) or 1.0)


class NonFiniteError(StepError):
    """A loss or prediction became infinite or not a number.

    Attributes:
        sha256: the images of the batch.
    """

    def __init__(self, message: str, sha256: Sequence[str], names: Mapping[str, str] | None = None) -> None:
        kind = "SHA-256" if names is None else "image_id"
        shown = [s[:12] if names is None else names[s] for s in sha256[:_SHOWN]]
        more = f" and {len(sha256) - _SHOWN} more" if len(sha256) > _SHOWN else ""
        super().__init__(
            f"{message}; {len(sha256)} images ({kind}): {', '.join(shown)}{more}. "
            "Look at these images, or lower training.learning_rate"
        )
        self.message, self.sha256 = message, list(sha256)

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes from one process of a training to another."""
        return NonFiniteError, (self.message, self.sha256)

    def named(self, examples: pa.Table) -> "NonFiniteError":
        """The same by image_id; `examples` has columns sha256 and image_id."""
        names = dict(zip(examples["sha256"].to_pylist(), examples["image_id"].to_pylist(), strict=True))
        return NonFiniteError(self.message, self.sha256, names)


_SHOWN = 64  # images in a message


def predictions_table(
    sha256: np.ndarray, outputs: tuple[str, ...], logits: np.ndarray, labels: np.ndarray
) -> pa.Table:
    """Columns sha256, level, probability, label: a row an image (or a patient) and output.

    `sha256` (n,) of the image, or the lowest of the patient's images; `logits` (n, units) whose first columns are the outputs', `labels` (n, outputs).
    """
    columns = [c for c in schemas.VALIDATION_PREDICTIONS if c.name in ("level", "probability", "label")]
    schema = pa.schema([("sha256", pa.string()), *schemas.schema(columns)])
    values = (
        np.repeat(sha256, len(outputs)),
        np.tile(np.array(outputs, dtype=object), len(sha256)),
        probabilities(logits[:, : len(outputs)]).ravel(),
        labels.astype(np.int8).ravel(),
    )
    arrays = [pa.array(v, field.type) for v, field in zip(values, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
