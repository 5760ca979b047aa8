"""The MLflow runs behind what stands: found by the steps that made it, whatever the settings are by now."""

import dagster as dg
import pyarrow as pa
import pytest

from assets import report
from assets.runs import folds_behind, run_behind
from assets.training import FOLDS, spread
from hnp_pipeline import schemas
from hnp_pipeline.home import Home
from hnp_pipeline.project import Project
from hnp_pipeline.study import Report, Study
from hnp_pipeline.tables import write_table
from hnp_pipeline.vocabulary import NOTICE
from resources.tracking import Tracking

STUDY = Study(tasks=("level",))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home whose steps ran once under STUDY: the project, its MLflow, its Dagster, and each step's MLflow run."""
    home, runs = Home(tmp_path_factory.mktemp("home")), {}
    tracking = Tracking(home, STUDY.name)
    write_table(schemas.empty(schemas.COHORT), home.table("cohort"))

    def step(name, kind, partitions=None):
        @dg.asset(name=name, key_prefix="level", partitions_def=partitions)
        def made(context: dg.AssetExecutionContext):
            fold = {"fold": context.partition_key} if partitions else {}
            tags = {"kind": kind, "task": "level", "settings": STUDY.hash, "development_set": "d"} | fold
            with tracking.run(context, tags) as run:
                runs[name, context.partition_key if partitions else None] = run.id
            return dg.MaterializeResult(metadata={"mlflow_run": dg.MetadataValue.url(run.link)})

        return made

    with dg.DagsterInstance.ephemeral() as instance:
        for fold in FOLDS.get_partition_keys():
            dg.materialize([step("fold_model", "fold", FOLDS)], partition_key=fold, instance=instance)
        for kind, name in report._RUNS.items():
            dg.materialize([step(name, kind)], instance=instance)
        yield Project(home, STUDY, None, None), tracking, instance, runs


def asked(instance, body):
    """What `body(context)` returns in a step."""
    found = []

    @dg.asset
    def asking(context: dg.AssetExecutionContext) -> None:
        found.append(body(context))

    assert dg.materialize([asking], instance=instance).success
    return found[0]


def test_a_changed_title_loses_no_run_from_the_report(made):
    project, tracking, instance, runs = made
    retitled = Project(project.home, STUDY.model_copy(update={"report": Report(title="New")}), None, None)
    assert retitled.study.hash != STUDY.hash
    told = asked(instance, lambda context: report.facts(context, retitled, tracking))["mlflow"]
    ids = [runs[name, None] for name in ("cross_validation", "test_evaluation", "registered_model")]
    assert [row["url"] for row in told] == [tracking.link(run) for run in ids]
    assert [row["name"] for row in told] == ["level (task)", "level (evaluation)", "level (model)"]


def test_a_task_names_the_runs_of_its_folds_wherever_they_lie(made):
    _, tracking, instance, runs = made
    words = asked(instance, lambda context: folds_behind(context, tracking, "level"))
    assert all(f"[fold {k}]({tracking.link(runs['fold_model', k])})" in words for k in "0123")
    run = tracking.at(tracking.link(runs["cross_validation", None]))
    for said in ("Trained elsewhere.", words):
        run.note(said)
    note = tracking.client.get_run(run.id).data.tags["mlflow.note.content"]
    assert note.startswith("All four folds") and note.endswith(f"{NOTICE} {words}")
    assert "elsewhere" not in note


def test_a_run_that_was_deleted_in_mlflow_is_none(made):
    _, tracking, instance, runs = made
    at = ["level", "test_evaluation"]
    found = asked(instance, lambda context: run_behind(context, tracking, at))
    assert found.id == runs["test_evaluation", None]
    tracking.client.delete_run(found.id)
    assert asked(instance, lambda context: run_behind(context, tracking, at)) is None
    assert asked(instance, lambda context: run_behind(context, tracking, ["level", "never_made"])) is None
    assert tracking.at(tracking.link("0" * 32)) is None


def test_the_spread_over_folds_is_that_of_a_sample():
    values = {"l1_2": [0.5, 0.6, 0.7, 0.8], "l2_3": [0.5, None, None, None], "l3_4": [0.5, 0.7, None, None]}
    rows = [
        {"level": level, "fold": fold, "unit": "image", "metric": "auc", "value": value}
        for level, of in values.items()
        for fold, value in enumerate(of)
    ]
    rows.append({"level": "l1_2", "fold": None, "unit": "image", "metric": "auc", "value": 0.65})
    found = spread(pa.Table.from_pylist(rows, schema=schemas.schema(schemas.METRICS)), "level")
    assert found == {
        "validation_auc_l1_2_sd": pytest.approx((0.05 / 3) ** 0.5),
        "validation_auc_l3_4_sd": pytest.approx(0.02**0.5),
    }
