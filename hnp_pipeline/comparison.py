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
    from mlflow.entities import Run

    from resources.tracking import Tracking

_PREDICTIONS = "test_image_predictions.parquet"
_SHORTEST = 4  # characters of an id's beginning


def compare(home: Path | None, first: str, second: str) -> int:
    """Print the differences, and keep them in MLflow as a run of their own.

    A run is named by its id, the beginning of it that no other has, or its name; it may be an evaluation run or the
    task run above it.

    Raises:
        SettingsError: there is no such run in this home, or several, or it is of a kind that cannot be compared.
        StepError: a run holds no test predictions, or they cannot be paired.
    """
    from hnp_pipeline.evaluation import comparisons
    from resources.tracking import Tracking

    project = resolve(os.environ, home=home)
    if not (project.home.mlflow / "mlflow.db").exists():
        raise SettingsError(f"{project.home.root} holds no MLflow runs: run the study first (hnp run)")
    tracking = Tracking(project.home, project.study.name)
    a, b = (_evaluation_run(tracking, _run(tracking, name), name) for name in (first, second))
    if a.info.run_id == b.info.run_id:
        raise SettingsError(f"{first} and {second} are the same run: give two")
    ids = (a.info.run_id, b.info.run_id)
    titles = [f"{run.info.run_name} ({run.info.run_id[:8]})" for run in (a, b)]
    with tempfile.TemporaryDirectory() as folder:
        scores = [comparisons.ensembles(_predictions(tracking, run, Path(folder) / run)) for run in ids]
        one, other = (next(iter(s.values())) for s in scores)
        table = comparisons.compare(one, other, (titles[0], titles[1]), project.study.evaluation)
        kept = _keep(tracking, table, ids, titles, project.study.evaluation.hash, Path(folder))
    print(_told(table, titles))
    print(f"kept in MLflow as {kept}")
    return 0


def _run(tracking: "Tracking", name: str) -> "Run":
    runs = tracking.runs()
    found = (
        [r for r in runs if r.info.run_id == name]
        or [r for r in runs if r.info.run_name == name]
        or [r for r in runs if len(name) >= _SHORTEST and r.info.run_id.startswith(name)]
    )
    if not found:
        known = next(
            (f", such as {r.info.run_name}" for r in runs if r.data.tags.get("hnp.kind") == "task"), ""
        )
        raise SettingsError(
            f"there is no MLflow run {name} in {tracking.home.root}: give an id, its beginning, or a name{known}"
        )
    if len(found) > 1:
        several = ", ".join(f"{r.info.run_id[:8]} ({r.info.run_name})" for r in found[:8])
        raise SettingsError(f"{name} may be any of {len(found)} runs: {several}: give an id")
    return found[0]


def _evaluation_run(tracking: "Tracking", run: "Run", name: str) -> "Run":
    tags = run.data.tags
    kind = tags.get("hnp.kind")
    if kind == "evaluation":
        return run
    if kind != "task":
        raise SettingsError(f"{name} is a run of kind {kind}: give a task's run, or its run on the test set")
    identity = {k: tags[f"hnp.{k}"] for k in ("task", "settings", "development_set")}
    found = tracking.find(kind="evaluation", **identity)
    if found is None:
        raise StepError(f"the run {name} has not been evaluated on a test set")
    return tracking.client.get_run(found)


def _predictions(tracking: "Tracking", run: str, folder: Path) -> pa.Table:
    from mlflow.exceptions import MlflowException

    folder.mkdir(exist_ok=True)
    try:
        table = read_table(Path(tracking.client.download_artifacts(run, _PREDICTIONS, str(folder))))
    except (MlflowException, OSError, StepError):
        raise StepError(f"the run {run} holds no test predictions") from None
    if not table.num_rows:
        raise StepError(f"the run {run} was made before there was a test collection")
    return table


def _keep(
    tracking: "Tracking",
    table: pa.Table,
    ids: tuple[str, str],
    titles: list[str],
    settings: str,
    folder: Path,
) -> str:
    """The run that holds the comparison, made unless it is there: the same two runs compare the same each time."""
    name = " less ".join(titles)
    tags = {"kind": "comparison", "first": ids[0], "second": ids[1], "settings": settings}
    if tracking.find(**tags) is None:
        with tracking.alone(name, tags) as run:
            rows = table.to_pylist()
            figures = {"difference": "", "ci_low": "_low", "ci_high": "_high", "p_value": "_p"}
            run.metrics(
                {
                    f"difference_{r['level']}_{r['unit']}{ending}": r[column]
                    for r in rows
                    for column, ending in figures.items()
                }
            )
            write_table(table, folder / "comparison.parquet")
            run.artifact(folder / "comparison.parquet")
            run.table(table, "comparison")
    return name


def _told(table: pa.Table, titles: list[str]) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    rows = table.to_pylist()
    images, patients = rows[0]["images"], rows[0]["patients"]
    asked = f"{patients} test patients" if images is None else f"{images} test images of {patients} patients"
    lines = [
        f"AUC of {titles[0]} less {titles[1]}",
        f"on the {asked} that both have",
        f"{'unit':8} {'level':6} {'first':>6} {'second':>6} difference (95 % interval)      p",
    ]
    for row in rows:
        mark = "†" if row["reason"] and row["difference"] is not None else ""
        interval = (
            f"{number(row['difference']):>7} ({number(row['ci_low'])} to {number(row['ci_high'])}){mark}"
        )
        figures = f"{number(row['auc_first']):>6} {number(row['auc_second']):>6}"
        lines.append(f"{row['unit']:8} {row['level']:6} {figures} {interval:27} {number(row['p_value'])}")
    if any("†" in line for line in lines):
        lines.append("† too few patients of one class: neither the interval nor p is to be relied on")
    return "\n".join(lines)
