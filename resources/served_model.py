"""The model that MLflow serves, as code: it reads safetensors and our own tables, and unpickles nothing."""

import base64
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from hnp_pipeline.prediction import Ensemble
from hnp_pipeline.study import Evaluation, Intake


class FoldEnsemble(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """Four fold models as one: from the bytes of radiographs to a probability for each level."""

    def load_context(self, context: Any) -> None:
        """Load the fold models of the artifact folder."""
        self.ensemble = Ensemble.load(Path(context.artifacts["task"]), Evaluation(), Intake())

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """A row an image: column `image` holds a JPEG, PNG or DICOM file in base64, `age` years (may be absent)."""
        files = [base64.b64decode(text) for text in model_input["image"]]
        ages = (
            model_input["age"].to_numpy(np.float64) if "age" in model_input else np.full(len(files), np.nan)
        )
        rows = [
            self.ensemble.probabilities(self.ensemble.pixels([file]), None if np.isnan(age) else float(age))[
                0
            ]
            for file, age in zip(files, ages, strict=True)
        ]
        return pd.DataFrame(np.array(rows), columns=list(self.ensemble.levels))


mlflow.models.set_model(FoldEnsemble())
