"""The registered model: what is in it, that it answers alone, and which version is the champion."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hnp_pipeline import study
from hnp_pipeline.home import Home
from hnp_pipeline.prediction import Ensemble
from hnp_pipeline.vocabulary import LEVELS, NOTICE
from resources.registry import CHAMPION, VALIDATION, Registry
from resources.tracking import Tracking

# a rule that is not the default: it must travel with the model
STUDY = study.Study(name="a/b study", evaluation=study.Evaluation(decision="majority", bootstrap_draws=100))


@pytest.fixture(scope="module")
def registry(small_home, tmp_path_factory) -> Registry:
    home = Home(tmp_path_factory.mktemp("registry") / "home")
    shutil.copytree(small_home, home.root)
    return Registry(Tracking(home, STUDY.name), STUDY, "level")


def validation(shift: float) -> pa.Table:
    """What models said of 400 patients with an image each; the larger the shift the better."""
    rng = np.random.default_rng(0)
    label = rng.random((400, 5)) < 0.4
    score = rng.normal(size=label.shape) + shift * label
    names = [f"{i:03d}" for i in range(400)]
    return pa.table(
        {
            "fold": pa.array(np.repeat(np.arange(400) % 4, 5), pa.int32()),
            "sha256": np.repeat(names, 5),
            "patient": np.repeat(names, 5),
            "level": list(LEVELS) * 400,
            "probability": 1 / (1 + np.exp(-score.ravel())),
            "label": label.ravel().astype(np.int8),
        }
    )


@pytest.fixture(scope="module")
def artifact(registry) -> tuple[str, Path]:
    """The first version, registered in a Dagster step, and its folder."""
    versions = []

    @dg.asset
    def step(context: dg.AssetExecutionContext) -> None:
        tags = {"kind": "model", "task": "level", "settings": STUDY.hash, "development_set": "d"}
        with registry.tracking.run(context, tags) as run:
            versions.append(registry.register(run, registry.content(), validation(1), {"task": "level"}))

    assert dg.materialize([step]).success
    version = versions[0]
    return version, Path(registry.tracking.client.get_model_version_download_uri(registry.name, version))


def local(registry, uri: Path) -> Path:
    import mlflow

    mlflow.set_tracking_uri(registry.tracking.store)
    return Path(mlflow.artifacts.download_artifacts(str(uri).replace("models:/", "models:/", 1)))


def test_a_version_carries_its_content_and_is_found_by_it(registry, artifact):
    version, _ = artifact
    assert registry.name == "a-b-study-level"
    assert registry.find(registry.content()) == version
    assert registry.find("another") is None
    told = registry.tracking.client.get_model_version(registry.name, version)
    assert NOTICE in told.description and told.tags["hnp.notice"] == NOTICE


def test_content_changes_with_weights_thresholds_and_rules_and_not_with_names(registry, tmp_path):
    def content(settings=STUDY, change=lambda folder: None) -> str:
        home = Home(tmp_path / str(len(list(tmp_path.iterdir()))))
        shutil.copytree(registry.tracking.home.task("level"), home.task("level"))
        change(home.task("level"))
        return Registry(Tracking(home, "x"), settings, "level").content()

    def other_threshold(folder: Path) -> None:
        table = pq.read_table(folder / "thresholds.parquet")
        pq.write_table(table.set_column(3, "threshold", pa.array([0.5] * 20)), folder / "thresholds.parquet")

    def other_history(folder: Path) -> None:
        file = folder / "fold=0" / "model.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"seconds": 7}))

    assert content() == registry.content() == content(change=other_history)
    assert content(STUDY.model_copy(update={"name": "other"})) == registry.content()
    assert content(change=other_threshold) != registry.content()
    assert content(STUDY.model_copy(update={"evaluation": study.Evaluation()})) != registry.content()


def test_nothing_in_the_artifact_is_pickled_or_names_this_machine(registry, artifact):
    folder = local(registry, artifact[1])
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} <= {
        ".py",
        ".safetensors",
        ".json",
        ".parquet",
        ".yaml",
        ".txt",
        "",
        ".sql",
        ".yml",
        ".csv",
        ".jinja",
        ".css",
    }
    assert not [p for p in files if p.suffix in {".pkl", ".pickle", ".pyc", ".pt", ".bin", ".joblib"}]
    assert not [p for p in files if p.read_bytes()[:2] == b"\x80\x04"]
    packed = {p.name for p in (folder / "code" / "hnp_pipeline").iterdir()}
    assert "imaging" in packed and not packed & {
        "cli.py",
        "command.py",
        "automation",
        "definitions.py",
        "intake",
    }


def test_it_answers_alone_elsewhere_with_its_own_code_and_rules(registry, artifact, film, tmp_path):
    folder = local(registry, artifact[1])
    whole = Ensemble.load(registry.folder, STUDY.evaluation, STUDY.intake)
    rows = [
        {"image": base64.b64encode(f.read_bytes()).decode(), "patient": p}
        for f, p in zip(film, "aba", strict=True)
    ]
    (tmp_path / "in.json").write_text(json.dumps({"dataframe_records": rows}))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "PYTHONPATH", "MLFLOW_"))}
    command = [
        str(Path(sys.executable).parent / "mlflow"),
        "models",
        "predict",
        "-m",
        str(folder),
        "-i",
        "in.json",
    ]
    command += ["-t", "json", "--env-manager", "local", "-o", "out.json"]
    done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "out.json").read_text())["predictions"]
    for patient, files in {"a": [film[0], film[2]], "b": [film[1]]}.items():
        expected = whole.predict_patient(files)
        for row in (r for r, given in zip(found, rows, strict=True) if given["patient"] == patient):
            assert row["notice"] == NOTICE
            for p in expected:
                assert row[p.level] == pytest.approx(p.probability, abs=1e-5)
                assert row[f"predicted_{p.level}"] == p.predicted
    assert found[0] == found[2] != found[1]


def test_its_code_is_the_artifacts_own_and_wrong_rows_are_told_by_number(registry, artifact, film, tmp_path):
    folder = local(registry, artifact[1])
    code = """
import sys, base64, pandas, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
import hnp_pipeline
print(hnp_pipeline.__file__)
good = base64.b64encode(open(sys.argv[2], "rb").read()).decode()
print(sorted(model.predict(pandas.DataFrame({"image": [good], "age": [50.0], "view": ["LAT"]})).columns))
for bad in (base64.b64encode(b"text").decode(), "***", good[:-400]):
    try:
        model.predict(pandas.DataFrame({"image": [good, bad]}))
    except mlflow.MlflowException as error:
        print(error)
"""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "PYTHONPATH", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(folder), str(film[0])],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    place, columns, *errors = done.stdout.strip().splitlines()
    assert Path(place).is_relative_to(folder)
    assert columns == str(sorted([*LEVELS, *(f"predicted_{k}" for k in LEVELS), "notice"]))
    assert len(errors) == 3 and all("row 2 holds no readable radiograph" in e for e in errors)
    assert "not a JPEG" in errors[0] and "not base64" in errors[1]


def test_the_champion_changes_only_for_one_that_is_shown_to_be_no_worse(registry, artifact, tmp_path):
    client = registry.tracking.client

    def version(table: pa.Table | None) -> str:
        with registry.tracking.alone("x", {"kind": "model", "task": "level", "settings": "s"}) as run:
            if table is not None:
                pq.write_table(table, tmp_path / VALIDATION)
                run.artifact(tmp_path / VALIDATION)
        return str(client.create_model_version(registry.name, "nowhere", run.id).version)

    def champion() -> str:
        return str(client.get_model_version_by_alias(registry.name, CHAMPION).version)

    first, middle, worse, better = artifact[0], validation(1), validation(0.3), validation(2)
    holder, verdict = registry.contest(first, middle)
    assert holder == first == champion() and verdict.passed
    assert registry.contest(first, middle)[1].words == "this version is the champion already"

    second = version(worse)
    holder, verdict = registry.contest(second, worse)
    assert holder == first == champion() and not verdict.passed and verdict.high < 0
    assert "not shown" in client.get_model_version(registry.name, second).tags["hnp.verdict"]

    third = version(better)
    assert registry.contest(third, better)[0] == third == champion()
    assert registry.contest(first, middle)[0] == third

    bare, bad = version(None), version(better)
    (path,) = registry.tracking.home.mlflow.rglob(
        f"{client.get_model_version(registry.name, bad).run_id}/*/{VALIDATION}"
    )
    path.write_bytes(b"\x80\x04N.")  # a pickle
    for version_without in (bare, bad):
        client.set_registered_model_alias(registry.name, CHAMPION, version_without)
        holder, verdict = registry.contest(third, better)
        assert holder == version_without and "no validation predictions" in verdict.words
