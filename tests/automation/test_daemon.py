"""A study in the care of the real daemon and its sensors, told in steps: each goes on where the last one ended."""

import csv
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import yaml
from served_study import Study, served, until

pytestmark = pytest.mark.daemon

SETTINGS = {
    "name": "hnp-daemon",
    "tasks": ["level"],
    "imaging": {"size": 64},
    "training": {
        "backbone": "test_efficientnet",
        "weights": {"source": "random"},
        "epochs": 12,
        "batch_size": 16,
        "learning_rate": 1.0e-3,
    },
    "evaluation": {"bootstrap_draws": 20},
    "explanation": {"pairs": 4},
    "report": {"gallery": 2},
    "compute": {"threads": 1, "look_seconds": 1},
}
FOLDS = [f"level/fold_model[{k}]" for k in range(4)]
CANCELED, FAILURE, SUCCESS = (
    dg.DagsterRunStatus.CANCELED,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.SUCCESS,
)


class Copying(threading.Thread):
    """A second folder on its way in: its first picture grows until it is told to hurry. No _SUCCESS at its end."""

    def __init__(self, source: Path, target: Path) -> None:
        super().__init__(daemon=True)
        self.source, self.target, self.hurry = source, target, threading.Event()

    def run(self) -> None:
        (self.target / "images").mkdir(parents=True)
        for table in self.source.glob("*.csv"):
            shutil.copy(table, self.target)
        pictures = sorted((self.source / "images").iterdir())
        with (self.target / "images" / pictures[0].name).open("wb", buffering=0) as growing:
            while not self.hurry.wait(0.1):  # more often than anyone looks
                growing.write(b"\0")
        for picture in pictures:
            shutil.copy(picture, self.target / "images", follow_symlinks=False)


@pytest.fixture(scope="module")
def arriving(tmp_path_factory, hnp) -> tuple[Path, Copying]:
    """A raw folder with the first collection whole, and the second being copied in."""
    folder = tmp_path_factory.mktemp("arriving")
    hnp("phantom", folder / "phantom", "--patients", 12, "--seed", 3)
    raw = folder / "raw"
    shutil.copytree(folder / "phantom" / "raw" / "first", raw / "first", symlinks=True)
    shutil.copy(folder / "phantom" / "raw" / "withdrawn.csv", raw)
    copying = Copying(folder / "phantom" / "raw" / "second", raw / "second")
    copying.start()
    return raw, copying


@pytest.fixture(scope="module")
def study(arriving):
    raw, _ = arriving
    profile = raw.parent / "study.yaml"
    profile.write_text(yaml.safe_dump(SETTINGS))
    with served(raw.parent / "home", raw, profile) as study:
        yield study


def rewrite(table: Path, change) -> None:
    """Deliver a table again, changed by `change(rows)`."""
    with table.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), reader.fieldnames
    change(rows)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def add_late_reading(study: Study, folder: Path) -> None:
    """A second report of the day of a matched reading, which sees a herniation that the first did not."""
    image, day = rows(
        study,
        "SELECT image_id, mri_date FROM cohort WHERE split = 'development' AND l1_2 = 0 ORDER BY ALL LIMIT 1",
    )[0]
    with (folder / "xrays.csv").open(encoding="utf-8", newline="") as file:
        patient = list(csv.DictReader(file))[int(image.split("/")[1]) - 1]
    reading = {"mri_date": day.isoformat(), "body_part": "LUMBAR", "reading": "L1-2 disc extrusion."}
    names = {k: patient[k] for k in ("patient_id", "hospital")}
    rewrite(folder / "mri_readings.csv", lambda table: table.append(names | reading))


def rows(study: Study, query: str) -> list[tuple]:
    with duckdb.connect(str(study.home.database), read_only=True) as db:
        return db.execute(query).fetchall()


def test_the_first_collection_is_taken_in_and_trained(study):
    run = study.in_training("0")
    assert study.instance.get_dynamic_partitions("collection") == ["first"]  # the second is on its way
    until("fold 0", lambda: study.status(run) == SUCCESS)
    [tracked] = study.mlflow_runs("0")
    assert tracked.info.status == "FINISHED"


def test_a_training_cancelled_in_the_ui_stops_within_seconds(study):
    run = study.in_training("1")
    asked = time.monotonic()
    study.terminate(run)
    until("cancelled", lambda: study.status(run) == CANCELED, 20)
    assert time.monotonic() - asked < 15
    assert study.mlflow_runs("1")[0].info.status == "KILLED"
    assert (study.home.fold("level", 1) / "checkpoint.safetensors").exists()


def test_a_killed_training_is_tried_again_from_its_checkpoint(study):
    killed = study.in_training("2")  # the cancelled one has freed the pool
    [pid] = {
        int(str(e.dagster_event.engine_event_data.metadata["pid"].value))
        for e in study.instance.all_logs(killed.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        if e.dagster_event and "pid" in e.dagster_event.engine_event_data.metadata
    }
    os.kill(pid, signal.SIGKILL)
    until("marked failed", lambda: study.status(killed) == FAILURE, 60)

    def again() -> dg.DagsterRun | None:
        run = study.run_of("level/fold_model", "2")
        return run if run and run.run_id != killed.run_id and study.status(run) == SUCCESS else None

    run = until("tried again", again)
    assert run.parent_run_id == killed.run_id
    assert any("goes on after epoch" in line for line in study.says(run))
    [tracked] = study.mlflow_runs("2")  # one for both
    assert tracked.info.status == "FINISHED" and tracked.data.tags["dagster.run_id"] == run.run_id


def test_the_cancelled_fold_launched_by_hand_goes_on_and_lets_the_rest_follow(study):
    until("fold 3", lambda: study.made()[FOLDS[3]])
    assert not study.made()["level/cross_validation"]  # not of three folds
    run = study.launch("__ASSET_JOB", "1", ["level", "fold_model"])
    until("everything", study.is_fresh, 480)
    assert any("goes on after epoch" in line for line in study.says(run))
    [tracked] = study.mlflow_runs("1")
    assert tracked.info.status == "FINISHED"
    assert all(study.made()[fold] == 1 for fold in FOLDS)
    assert study.slots() == 0
    assert study.home.report.exists()
    assert rows(study, "SELECT count(*) FROM test_predictions") == [(0,)]  # no test collection yet


def test_the_second_collection_is_taken_in_when_it_is_whole_and_trains_nothing(study, arriving):
    raw, copying = arriving
    assert copying.is_alive() and "second" not in study.instance.get_dynamic_partitions("collection")
    since = time.time()
    copying.hurry.set()
    copying.join()
    until("taken in", lambda: "second" in study.instance.get_dynamic_partitions("collection"), 60)
    until("everything", study.is_fresh, 480)
    made = study.made(since)
    assert not any("fold_model" in name or "[first]" in name for name in made)
    followed = {"radiographs[second]", "clahe_cache[second]", "cohort", "level/test_evaluation"}
    assert followed | {"level/gradcam", "warehouse", "study_report"} <= set(made)
    assert rows(study, "SELECT count(*) > 0 FROM test_predictions") == [(True,)]
    assert rows(study, "SELECT count(*) > 0 FROM gradcam") == [(True,)]
    pictures = len(list((raw / "second" / "images").iterdir()))
    assert rows(study, "SELECT count(*) FROM radiographs WHERE collection = 'second'")[0][0] >= pictures


def test_a_corrected_row_trains_once_and_a_fold_that_fails_holds_up_the_ensemble(study, arriving):
    raw, _ = arriving
    before = rows(study, "SELECT * FROM metrics ORDER BY ALL")
    [(row,)] = rows(
        study,
        "SELECT min(split_part(image_id, '/', 2)::INT) FROM cohort WHERE split = 'development' AND view = 'AP'",
    )
    blocked = study.home.fold("level", 2) / "checkpoint.safetensors"
    blocked.mkdir()  # a folder where the checkpoint is to be written
    since = time.time()
    rewrite(raw / "first" / "xrays.csv", lambda table: table[row - 1].update(view="UNKNOWN"))

    def settled() -> bool:
        run = study.run_of("level/fold_model", "2", since)
        return bool(
            run and study.status(run) == FAILURE and all(study.made(since)[FOLDS[k]] for k in (0, 1, 3))
        )

    until("three folds and a failure", settled, 240)
    time.sleep(12)  # two looks of the sensors
    made = study.made(since)
    assert all(made[FOLDS[k]] == 1 for k in (0, 1, 3)) and not made[FOLDS[2]]
    assert not any(name.startswith("level/") and "fold_model" not in name for name in made)
    assert rows(study, "SELECT * FROM metrics ORDER BY ALL") == before  # the last whole ensemble's
    blocked.rmdir()


def test_that_fold_launched_again_repairs_all_that_follows(study):
    since = time.time()
    study.launch("train_level", "2")
    until("everything", study.is_fresh, 480)
    made = study.made(since)
    assert [name for name in made if "fold_model" in name] == [FOLDS[2]]
    assert {"level/cross_validation", "level/test_evaluation", "level/gradcam", "study_report"} <= set(made)


def test_a_collection_that_has_vanished_is_told_and_stays(study, arriving):
    raw, _ = arriving
    since = time.time()
    (raw / "second").rename(raw.parent / "aside")

    def told() -> str | None:
        found = study.ask(
            """{ assetNodeOrError(assetKey: {path: ["raw_collection"]}) { ... on AssetNode { assetChecksOrError {
                ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation { description } }
            } } } } } }"""
        )["assetNodeOrError"]["assetChecksOrError"]["checks"]
        [check] = [c["executionForLatestMaterialization"] for c in found if c["name"] == "collections_there"]
        return check["evaluation"]["description"] if check and check["status"] == "FAILED" else None

    assert "second" in until("told", told, 60)
    assert study.is_fresh() and not study.made(since)
    assert rows(study, "SELECT count(*) > 0 FROM cohort WHERE collection = 'second'") == [(True,)]
    (raw.parent / "aside").rename(raw / "second")


def test_the_nightly_job_does_the_same_without_sensors_and_a_late_reading_trains_once(study, arriving):
    raw, _ = arriving
    for sensor in ("new_collections", "keep_up_to_date"):
        study.switch(sensor, on=False)
    since = time.time()
    add_late_reading(study, raw / "first")
    run = study.launch("bring_up_to_date")
    until("the night's work", lambda: study.status(run).value in {"SUCCESS", "FAILURE"}, 240)
    assert study.status(run) == SUCCESS, study.says(run)[-5:]
    assert study.is_fresh()
    made = study.made(since)
    assert all(made[fold] == 1 for fold in FOLDS) and made["study_report"] == 1
