"""Runs in MLflow: how they are named, found, reopened, ended, and what they never hold."""

import resource
import threading
from pathlib import Path

import dagster as dg
import pytest

from hnp_pipeline.errors import StepError
from hnp_pipeline.home import Home
from resources.tracking import Tracking

TAGS = {"kind": "fold", "task": "level", "fold": "2", "settings": "3f2a91aabbccddee", "development_set": "d1"}


@pytest.fixture(scope="module")
def tracking(tmp_path_factory) -> Tracking:
    return Tracking(Home(tmp_path_factory.mktemp("home")), "study")


def step(tracking: Tracking, body, tags=TAGS, succeeds=True):
    """Run `body(run)` in a Dagster step within an MLflow run; returns the MLflow run."""
    found = []

    @dg.asset
    def thing(context: dg.AssetExecutionContext) -> None:
        parent = tracking.parent("level", tags["settings"], tags["development_set"])
        with tracking.run(context, tags, parent) as run:
            found.append(run.id)
            body(run)

    result = dg.materialize([thing], raise_on_error=False)
    assert result.success == succeeds
    return tracking.client.get_run(found[0])


def test_a_run_is_found_by_name_and_tags_and_lies_under_its_task(tracking):
    run = step(tracking, lambda run: run.params({"a": 1}))
    assert run.info.run_name == "level 3f2a91 fold 2"
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    assert {tags[f"hnp.{k}"] for k in TAGS} == set(TAGS.values())
    assert tags["hnp.code"] and "Not a diagnostic device" in tags["mlflow.note.content"]
    parent = tracking.client.get_run(tags["mlflow.parentRunId"])
    assert parent.info.run_name == "level 3f2a91" and parent.data.tags["hnp.kind"] == "task"
    assert tracking.find(**TAGS) == run.info.run_id


def test_a_failed_run_is_reopened_and_goes_on_where_it_was(tracking):
    tags = TAGS | {"fold": "3"}

    def fails(run):
        run.metrics({"loss": 0.5}, step=1)
        raise ValueError("no")

    failed = step(tracking, fails, tags, succeeds=False)
    assert failed.info.status == "FAILED"

    def goes_on(run):
        assert run.steps("loss") == {1}
        run.metrics({"loss": 0.4, "auc": None}, step=2)

    again = step(tracking, goes_on, tags)
    assert (again.info.run_id, again.info.status) == (failed.info.run_id, "FINISHED")
    assert again.data.metrics == {"loss": 0.4}
    assert step(tracking, lambda run: None, tags).info.run_id != again.info.run_id


def test_an_interrupted_run_is_killed(tracking):
    def interrupted(run):
        raise dg.DagsterExecutionInterruptedError

    assert step(tracking, interrupted, TAGS | {"fold": "1"}, succeeds=False).info.status == "KILLED"


def test_system_metrics_come_from_a_thread_that_ends_with_the_body(tracking):
    def watched(run):
        with run.watched():
            assert "SystemMetricsMonitor" in {t.name for t in threading.enumerate()}
        with pytest.raises(ValueError, match="inner"), run.watched():
            raise ValueError("inner")

    run = step(tracking, watched, TAGS | {"fold": "0"})
    assert "SystemMetricsMonitor" not in {t.name for t in threading.enumerate()}
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0  # however short


def test_data_sets_are_named_by_version_and_nothing_else(tracking):
    run = step(
        tracking,
        lambda run: run.dataset("development_set", "a" * 50, 12, "training"),
        TAGS | {"settings": "other"},
    )
    [given] = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("development_set", "a" * 36)
    assert given.dataset.profile == '{"num_rows": 12}'
    assert str(tracking.home.root) not in given.dataset.source
    tags = {t.key: t.value for t in given.tags}
    assert tags == {"mlflow.data.context": "training", "hnp.version": "a" * 50}


def test_a_disk_that_is_full_while_the_database_is_made_leaves_none_half_made(tmp_path):
    home = Home(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # bytes of a file: some of its tables fit
    try:
        with pytest.raises(StepError, match=r"mlflow\.db cannot be written .*make room"):
            _ = Tracking(home, "study").client
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (home.mlflow / ".mlflow.db.1-killed.tmp").touch()
    assert Tracking(home, "study").experiment_id
    assert {p.name for p in home.mlflow.glob("*")} - {"artifacts"} == {"mlflow.db", "create.lock"}


def test_a_home_that_was_moved_keeps_its_artifacts_and_writes_to_its_new_place(tmp_path):
    def told(run):
        run.text("here", "note.txt")

    before = step(Tracking(Home(tmp_path / "before"), "study"), told).info.run_id
    (tmp_path / "before").rename(tmp_path / "after")
    moved = Tracking(Home(tmp_path / "after"), "study")
    elsewhere = moved.client.create_experiment("elsewhere", artifact_location="/srv/artifacts")
    again = Tracking(Home(tmp_path / "after"), "study")
    new = step(again, told, TAGS | {"fold": "1"}).info.run_id
    for run in (before, new):
        assert Path(again.client.download_artifacts(run, "note.txt")).read_text() == "here"
    assert again.client.get_experiment(elsewhere).artifact_location == "/srv/artifacts"
    assert not (tmp_path / "before").exists()


def test_a_collection_by_any_name_is_found_again(tracking):
    for name in ("St. Mary's first", 'the "second"', "서울 \\ third", "100 %"):
        tags = {"kind": "cache", "collection": name, "settings": "3f2a91aabbccddee"}
        with tracking.alone("cache", tags) as run:
            pass
        assert tracking.find(kind="cache", collection=name) == run.id
