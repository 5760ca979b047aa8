"""What a fold's training hands back: its result, or the images that it failed on."""

from dataclasses import dataclass
from pathlib import Path

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
        predictions: sha256, level, probability, label of the held-out fold.
        seconds: by stage (data_wait, forward_backward, validation, checkpoint), over all epochs.
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


class NonFiniteError(StepError):
    """A loss or prediction became infinite or not a number; `sha256` names the images of the batch."""

    def __init__(self, message: str, sha256: list[str]) -> None:
        shown = ", ".join(s[:12] for s in sha256[:8]) + (" …" if len(sha256) > 8 else "")
        super().__init__(f"{message}; images (SHA-256): {shown}. Lower training.learning_rate")
        self.sha256 = sha256


def predictions_table(
    sha256: np.ndarray, outputs: tuple[str, ...], logits: np.ndarray, labels: np.ndarray
) -> pa.Table:
    """Columns sha256, level, probability, label: a row an image and output.

    `sha256` (n,), `logits` (n, units) whose first columns are the outputs', `labels` (n, outputs).
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
