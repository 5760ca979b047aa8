"""A task's four fold models as one registered MLflow model."""

import base64
import shutil
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from hnp_pipeline.vocabulary import FOLDS, outputs
from resources.tracking import TrackedRun, Tracking

_PACKAGES = Path(__file__).resolve().parent.parent
_FILES = ("model.safetensors", "model.json")


def register(run: TrackedRun, name: str, folder: Path, tracking: Tracking) -> str:
    """Log the models of a task's folder with the run and register them as `name`; returns the version."""
    import cv2

    task = folder.name
    picture = cv2.imencode(".jpg", np.zeros((64, 64), np.uint8))[1].tobytes()
    example = pd.DataFrame({"image": [base64.b64encode(picture).decode()]})
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image"), ColSpec(DataType.double, "age", required=False)]),
        outputs=Schema([ColSpec(DataType.double, level) for level in outputs(task)]),
    )
    mlflow.set_tracking_uri(tracking.store)
    mlflow.set_registry_uri(tracking.store)
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / task
        for fold in FOLDS:
            (whole / f"fold={fold}").mkdir(parents=True)
            for file in _FILES:
                shutil.copy(folder / f"fold={fold}" / file, whole / f"fold={fold}" / file)
        shutil.copy(folder / "thresholds.parquet", whole)
        with mlflow.start_run(run_id=run.id):
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_PACKAGES / "resources" / "served_model.py"),
                artifacts={"task": str(whole)},
                code_paths=[str(_PACKAGES / "hnp_pipeline"), str(_PACKAGES / "resources")],
                signature=signature,
                input_example=example,
                pip_requirements=[
                    "torch",
                    "timm",
                    "opencv-python",
                    "pyarrow",
                    "pandas",
                    "safetensors",
                    "pydantic",
                ],
                registered_model_name=name,
            )
    return str(logged.registered_model_version)
