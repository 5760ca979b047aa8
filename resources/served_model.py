"""The model that MLflow serves, as code: it reads safetensors and our own tables, and unpickles nothing.

The contract. In, a row an image: `image`, a JPEG, PNG or DICOM file in base64; optionally `patient`, any name that
rows of one patient share; `age` in years and `view`, for models that take them. Out, a row for each row that went in,
in the same order: the patient's answer, which rows of one patient share. A row without a patient is one of its own.
The columns are the levels (probability), `predicted_<level>` (1, 0; null where no threshold could be had) and
`notice`. A row whose picture cannot be used fails the whole request, by its number from 1.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from hnp_pipeline.imaging.formats import UnreadableImageError
from hnp_pipeline.prediction import Ensemble, Pixels
from hnp_pipeline.study import Evaluation, Intake
from hnp_pipeline.vocabulary import NOTICE, VIEWS


class FoldEnsemble(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """Four fold models as one: from the bytes of radiographs to a probability and a decision for each level."""

    def load_context(self, context: Any) -> None:
        """Load the fold models, the thresholds and the study's own rules from the artifact."""
        folder = Path(context.artifacts["task"])
        settings = json.loads((folder / "settings.json").read_text("utf-8"))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.ensemble = Ensemble.load(
            folder,
            Evaluation.model_validate(settings["evaluation"]),
            Intake.model_validate(settings["intake"]),
            device,
        )

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Probabilities and decisions by the contract above."""
        pixels = Pixels(np.concatenate([self._pixels(n, t) for n, t in enumerate(model_input["image"], 1)]))
        patient = _patients(model_input)
        ages = model_input["age"].to_numpy(np.float64) if "age" in model_input else None
        answers = self.ensemble.answers(pixels, patient, ages, _views(model_input))
        _, row = np.unique(patient, return_inverse=True)
        levels = self.ensemble.levels
        decided = {
            f"predicted_{k}": pd.Series(
                [None if np.isnan(v) else int(v) for v in answers.predicted[row, i]], dtype=object
            )
            for i, k in enumerate(levels)
        }
        table = pd.DataFrame(answers.probability[row], columns=list(levels)).assign(**decided, notice=NOTICE)
        return table.set_index(model_input.index)

    def _pixels(self, number: int, text: Any) -> np.ndarray:
        try:
            return self.ensemble.pixels([base64.b64decode(text, validate=True)]).array
        except (UnreadableImageError, binascii.Error, TypeError, ValueError) as error:
            why = str(error) if isinstance(error, UnreadableImageError) else "not base64"
            message = f"row {number} holds no readable radiograph: {why}"
            raise MlflowException(message, error_code=BAD_REQUEST) from None


def _patients(rows: pd.DataFrame) -> np.ndarray:
    """Whose each row is (n,), as numbers."""
    own = np.arange(len(rows))
    if "patient" not in rows:
        return own
    codes, _ = pd.factorize(rows["patient"])  # -1: no patient named
    return np.where(codes < 0, len(rows) + own, codes)


def _views(rows: pd.DataFrame) -> list[str | None] | None:
    if "view" not in rows:
        return None
    views = [None if pd.isna(v) else v for v in rows["view"]]
    if unknown := {v for v in views if v is not None and v not in VIEWS}:
        message = f"{len(unknown)} values of view are none of {', '.join(VIEWS)}"
        raise MlflowException(message, error_code=BAD_REQUEST)
    return views


mlflow.models.set_model(FoldEnsemble())
