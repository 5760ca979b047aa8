"""`hnp compare`: paired differences in AUC between the test predictions of two MLflow runs."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from hnp_pipeline.errors import SettingsError, StepError
from hnp_pipeline.project import resolve
from hnp_pipeline.tables import read_table, write_table

if TYPE_CHECKING:
    from resources.tracking import Tracking

_PREDICTIONS = "test_image_predictions.parquet"


def compare(home: Path | None, first: str, second: str) -> int:
    """Print the differences, and keep them with the first run as `comparisons/<second>.parquet`.

    A run is named by its id, and may be an evaluation run or the task run above it.

    Raises:
        SettingsError: there is no such run in this home.
        StepError: a run holds no test predictions, or they cannot be paired.
    """
    from hnp_pipeline.evaluation import comparisons
    from resources.tracking import Tracking

    project = resolve(os.environ, home=home)
    if not (project.home.mlflow / "mlflow.db").exists():
        raise SettingsError(f"{project.home.root} holds no MLflow runs: run the study first (hnp run)")
    tracking = Tracking(project.home, project.study.name)
    runs = [_evaluation_run(tracking, name) for name in (first, second)]
    with tempfile.TemporaryDirectory() as folder:
        a, b = (comparisons.ensembles(_predictions(tracking, run, Path(folder) / run)) for run in runs)
        (task_a, scores_a), (task_b, scores_b) = next(iter(a.items())), next(iter(b.items()))
        names = (f"{task_a} {runs[0][:8]}", f"{task_b} {runs[1][:8]}")
        table = comparisons.compare(scores_a, scores_b, names, project.study.evaluation)
        file = Path(folder) / f"{runs[1]}.parquet"
        write_table(table, file)
        tracking.client.log_artifact(runs[0], str(file), "comparisons")
    print(_told(table, names))
    return 0


def _evaluation_run(tracking: "Tracking", name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        run = tracking.client.get_run(name)
    except MlflowException:
        raise SettingsError(f"there is no MLflow run {name} in {tracking.home.root}") from None
    tags = run.data.tags
    if tags.get("hnp.kind") != "task":
        return run.info.run_id
    identity = {k: tags[f"hnp.{k}"] for k in ("task", "settings", "development_set")}
    found = tracking.find(kind="evaluation", **identity)
    if found is None:
        raise StepError(f"the run {name} has not been evaluated on a test set")
    return found


def _predictions(tracking: "Tracking", run: str, folder: Path) -> pa.Table:
    from mlflow.exceptions import MlflowException

    folder.mkdir(exist_ok=True)
    try:
        table = read_table(Path(tracking.client.download_artifacts(run, _PREDICTIONS, str(folder))))
    except (MlflowException, OSError):
        raise StepError(f"the run {run} holds no test predictions") from None
    if not table.num_rows:
        raise StepError(f"the run {run} was made before there was a test collection")
    return table


def _told(table: pa.Table, names: tuple[str, str]) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    lines = [
        f"AUC of {names[0]} less {names[1]}",
        f"{'unit':8} {'level':6} {'first':>6} {'second':>6} difference (95 % interval)      p",
    ]
    for row in table.to_pylist():
        interval = f"{number(row['difference']):>7} ({number(row['ci_low'])} to {number(row['ci_high'])})"
        figures = f"{number(row['auc_first']):>6} {number(row['auc_second']):>6}"
        lines.append(f"{row['unit']:8} {row['level']:6} {figures} {interval:27} {number(row['p_value'])}")
    return "\n".join(lines)
