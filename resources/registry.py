"""A task's four fold models as one registered MLflow model, and which of its versions is the champion."""

import base64
import hashlib
import importlib.metadata
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.succession import Succession, judge
from hnp_pipeline.fingerprint import source_hash
from hnp_pipeline.report.cards import opening
from hnp_pipeline.study import Study
from hnp_pipeline.tables import content_hash, read_table
from hnp_pipeline.vocabulary import FOLDS, NOTICE, outputs
from resources.packing import PACKED, SERVED, pack
from resources.tracked_run import TrackedRun
from resources.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
VALIDATION = (
    "validation.parquet"  # artifact of a version's run: what its models said of images they had not seen
)
_CARD = "model_card.md"
_FILES = ("model.safetensors", "model.json")
_NEEDED = (
    "mlflow", "torch", "torchvision", "timm", "safetensors", "opencv-python", "pydicom", "numpy", "scipy", "pandas",
    "pyarrow", "duckdb", "pydantic", "pyyaml",
)  # fmt: skip


@dataclass(frozen=True)
class Registry:
    """The registered model of one task of a study."""

    tracking: Tracking
    study: Study
    task: str

    @property
    def name(self) -> str:
        """Under which it is registered."""
        words = re.sub(r"[^\w.-]+", "-", self.study.name)  # a registered model's name takes no / and no :
        return f"{words}-{self.task}"

    @property
    def folder(self) -> Path:
        """Where the task's fold models lie."""
        return self.tracking.home.task(self.task)

    def link(self, version: str) -> str:
        """A version's address in the MLflow UI."""
        return self.tracking.shown(f"models/{self.name}/versions/{version}")

    def content(self) -> str:
        """A hash of all that a version's answers come from: weights, thresholds, rules, and the code inside."""
        models = []
        for fold in FOLDS:
            facts = json.loads((self.folder / f"fold={fold}" / "model.json").read_text("utf-8"))
            kept = ("format", "model_sha256", "task", "fold", "training", "imaging", "age", "views")
            models.append({k: facts[k] for k in kept})
        thresholds = content_hash(read_table(self.folder / "thresholds.parquet"))
        code = [source_hash(*PACKED), hashlib.sha256(SERVED.read_bytes()).hexdigest()]
        text = json.dumps([models, thresholds, self._settings(), code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def find(self, content: str) -> str | None:
        """The version of this content, if it is registered already."""
        text = f"name = '{self.name}' and tags.`hnp.content` = '{content}'"
        found = self.tracking.client.search_model_versions(text)
        return str(max(int(v.version) for v in found)) if found else None

    def run_of(self, version: str) -> str:
        """The id of the MLflow run that registered a version."""
        return self.tracking.client.get_model_version(self.name, version).run_id or ""

    def register(self, run: TrackedRun, content: str, validation: pa.Table, tags: Mapping[str, str]) -> str:
        """Log the models with the run and register them; returns the version.

        The version carries its content's hash from the moment it exists, so that a crash leaves none without.
        """
        client = self.tracking.client
        mlflow.set_tracking_uri(self.tracking.store)
        mlflow.set_registry_uri(self.tracking.store)
        _forget_unregistered(run, self.name, self.tracking)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            pq.write_table(validation, folder / VALIDATION)
            run.artifact(folder / VALIDATION)
            whole, code = folder / self.task, folder / "hnp_pipeline"
            self._gather(whole)
            pack(code)
            with mlflow.start_run(run_id=run.id):
                logged = mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(SERVED),
                    artifacts={"task": str(whole)},
                    code_paths=[str(code)],
                    signature=self._signature(),
                    input_example=_example(),
                    pip_requirements=[f"{p}=={_version(p)}" for p in _NEEDED],
                    metadata=self._facts(),
                )
        own = {"hnp.content": content, "hnp.notice": NOTICE, **{f"hnp.{k}": v for k, v in tags.items()}}
        version = str(mlflow.register_model(logged.model_uri, self.name, tags=own).version)
        client.update_registered_model(
            self.name, f"Four fold models of the task {self.task} as one. {NOTICE}"
        )
        client.update_model_version(self.name, version, f"{_CONTRACT} {NOTICE}")
        return version

    def state(self) -> dict[str, str]:
        """Name and version of what the folder holds, and the version that is the champion.

        Raises:
            StepError: it is not registered.
        """
        version, champion = self.find(self.content()), self._champion()
        if version is None:
            raise StepError(
                f"the models of {self.task} are not registered: materialise registered_model again"
            )
        return {"name": self.name, "version": version, "champion": str(champion.version) if champion else ""}

    def describe(self, version: str, card: str, data_card: str) -> None:
        """Put a model's card on a version's page, and both cards whole among the artifacts of its run."""
        client = self.tracking.client
        description = (
            f"{opening(card)}\n\n{_CONTRACT}\n\nThe whole card: `{_CARD}` among this run's artifacts."
        )
        client.update_model_version(self.name, version, description)
        run = self.run_of(version)
        for name, text in ((_CARD, card), ("data_card.md", data_card)):
            client.log_text(run, text, name)

    def contest(self, version: str, validation: pa.Table) -> tuple[str, Succession]:
        """Let a version take the alias `champion` if it may; returns the champion's version and the verdict."""
        client = self.tracking.client
        holder = self._champion()
        if holder is None:
            verdict = Succession(True, "the first version of this task")
        elif str(holder.version) == version:
            verdict = Succession(True, "this version is the champion already")
        else:
            verdict = self._judged(validation, holder)
        if verdict.passed and (holder is None or str(holder.version) != version):
            client.set_registered_model_alias(self.name, CHAMPION, version)
            holder = self._champion()
        assert holder is not None  # the first version always passes
        client.set_model_version_tag(self.name, version, "hnp.verdict", verdict.words)
        return str(holder.version), verdict

    def _champion(self) -> "ModelVersion | None":
        try:
            return self.tracking.client.get_model_version_by_alias(self.name, CHAMPION)
        except MlflowException:
            return None

    def _judged(self, validation: pa.Table, holder: "ModelVersion") -> Succession:
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = self.tracking.client.download_artifacts(holder.run_id or "", VALIDATION, folder)
                old = read_table(Path(path))
            except (MlflowException, OSError, StepError):
                return Succession(
                    False, f"version {holder.version} has no validation predictions to compare with"
                )
        return judge(validation, old, self.task, self.study.evaluation, self.study.succession)

    def _settings(self) -> dict[str, Any]:
        return {
            "evaluation": self.study.evaluation.model_dump(mode="json"),
            "intake": self.study.intake.model_dump(mode="json", include={"maximum_pixels"}),
        }

    def _facts(self) -> dict[str, Any]:
        """What the model's page in MLflow tells of how it answers."""
        rows = read_table(self.folder / "thresholds.parquet", ["fold", "level", "threshold"]).to_pylist()
        return {
            "task": self.task,
            "imaging": self.study.imaging.model_dump(mode="json"),
            "decision": self.study.evaluation.decision,
            "thresholds": {f"{r['level']} fold {r['fold']}": r["threshold"] for r in rows},
            "notice": NOTICE,
        }

    def _gather(self, target: Path) -> None:
        for fold in FOLDS:
            (target / f"fold={fold}").mkdir(parents=True)
            for file in _FILES:
                shutil.copy(self.folder / f"fold={fold}" / file, target / f"fold={fold}" / file)
        shutil.copy(self.folder / "thresholds.parquet", target)
        (target / "settings.json").write_text(json.dumps(self._settings(), indent=1), "utf-8")

    def _signature(self) -> ModelSignature:
        text, real, whole = DataType.string, DataType.double, DataType.long
        levels = outputs(self.task)
        return ModelSignature(
            inputs=Schema(
                [
                    ColSpec(text, "image"),
                    ColSpec(text, "patient", required=False),
                    ColSpec(real, "age", required=False),
                    ColSpec(text, "view", required=False),
                ]
            ),
            outputs=Schema(
                [
                    *(ColSpec(real, level) for level in levels),
                    *(ColSpec(whole, f"predicted_{level}", required=False) for level in levels),
                    ColSpec(text, "notice"),
                ]
            ),
        )


def _forget_unregistered(run: TrackedRun, name: str, tracking: Tracking) -> None:
    """Remove what an attempt that was killed or failed left of a model: logged, but no version of `name`."""
    client = tracking.client
    versions = client.search_model_versions(f"name = '{name}'")
    registered = {v.source.removeprefix("models:/") for v in versions if v.source}
    logged = client.search_logged_models([tracking.experiment_id], f"source_run_id = '{run.id}'")
    for model in logged:
        if model.model_id not in registered:
            client.delete_logged_model(model.model_id)
            shutil.rmtree(Path(model.artifact_location).parent, ignore_errors=True)


_CONTRACT = (
    "In, a row an image: `image` (a JPEG, PNG or DICOM file in base64), optionally `patient` (rows of one patient share"
    " it), `age` (years), `view`. Out, a row each in the same order: the patient's probability of herniation at each"
    " level, the decision `predicted_<level>`, a notice."
)


def _example() -> pd.DataFrame:
    """A picture of nobody: a slope of grays, of the form that a row takes."""
    import cv2

    slope = np.add.outer(np.arange(128), np.arange(96)).astype(np.uint8)
    picture = cv2.imencode(".png", slope)[1].tobytes()
    return pd.DataFrame({"image": [base64.b64encode(picture).decode()]})


def _version(package: str) -> str:
    """Installed, without the local part that an index does not have (`2.13.0+cpu`)."""
    return importlib.metadata.version(package).partition("+")[0]
