"""What no step makes again, and may show a patient who withdrew: found and taken out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from hnp_pipeline import schemas
from hnp_pipeline.home import Home
from hnp_pipeline.imaging.cache import ImageCache, build_cache
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.study import Imaging
from hnp_pipeline.tables import read_table, write_table
from resources.erasure import forget, forget_sheets

GONE, STAYS = "a" * 32, "b" * 32
SETTINGS = [Imaging(size=32), Imaging(size=48)]  # today's, and those of an old cache
WITHDRAWN = pa.table({"patient_key": [GONE], "bare_key": [None]}, schema=schemas.schema(schemas.WITHDRAWN))


@pytest.fixture
def home(tmp_path: Path) -> tuple[Home, list[str]]:
    """A home whose collection is gone from the raw folder, of two patients with an image each; their hashes."""
    home, random = Home(tmp_path / "home"), np.random.default_rng(0)
    for name in ("0.png", "1.png"):
        Image.fromarray(random.integers(0, 255, (90, 80), np.uint8)).save(tmp_path / name)
    found = inspect_files(tmp_path, pa.array(["0.png", "1.png"]), None, 10**6, 1)
    hashes = found["sha256"].to_pylist()
    columns = {c.name: pa.nulls(2, c.type) for c in schemas.INTAKE_RADIOGRAPHS} | {
        "image_id": ["old/1", "old/2"],
        "collection": ["old", "old"],
        "row": [1, 2],
        "patient_key": [GONE, STAYS],
        "sha256": hashes,
    }
    write_table(
        pa.table(columns, schema=schemas.schema(schemas.INTAKE_RADIOGRAPHS)),
        home.intake("old", "radiographs"),
    )
    files = pa.table({"image_id": ["old/1", "old/2"], "file": ["0.png", "1.png"]})
    write_table(files, home.intake("old", "names"))
    images = pa.table({"sha256": hashes, "path": [str(tmp_path / n) for n in ("0.png", "1.png")]})
    for settings in SETTINGS:
        build_cache(home.cache("old"), images, settings, 1)
    predictions = pa.table({"sha256": hashes, "probability": [0.1, 0.9]})
    for path in (
        home.fold("level", 0) / "predictions.parquet",
        home.task("given_up") / "predictions.parquet",
    ):
        write_table(predictions, path)
    for folder in (home.gradcam("level"), home.gradcam("given_up")):
        folder.mkdir(parents=True)
        (folder / "contact_sheet.jpg").touch()
    run = home.mlflow / "artifacts" / "run"
    write_table(pa.table({"patient_key": [GONE, STAYS]}), run / "test_predictions.parquet")
    (run / "contact_sheet.jpg").touch()
    return home, hashes


def test_rows_pixels_and_pictures_go_and_the_others_stay(home):
    home, (gone, stays) = home
    assert forget(home, WITHDRAWN, ["level"]) > 0

    rows = read_table(home.intake("old", "radiographs"))
    assert rows["row"].to_pylist() == [1, 2]
    assert rows["sha256"].to_pylist() == [
        gone,
        stays,
    ]  # the same picture under another patient stays excluded
    assert read_table(home.intake("old", "names"))["file"].to_pylist() == ["1.png"]
    for settings in SETTINGS:
        cache = ImageCache.open(home.cache("old"), settings)
        assert len(cache) == 1 and len(cache.images) == 1
        assert cache.position(pa.array([stays])).tolist() == [0]
    for path in home.root.glob("models/**/predictions.parquet"):
        assert read_table(path)["sha256"].to_pylist() == [stays]
    run = home.mlflow / "artifacts" / "run"
    assert read_table(run / "test_predictions.parquet")["patient_key"].to_pylist() == [STAYS]
    assert not (run / "contact_sheet.jpg").exists()
    assert not home.gradcam("given_up").exists()
    assert home.gradcam("level").exists()  # made again by its own step


def test_without_pictures_no_mlflow_run_keeps_a_sheet_and_the_home_its_own(home):
    home, _ = home
    assert forget_sheets(home) == 1
    assert [p for p in home.root.rglob("contact_sheet.jpg") if home.mlflow in p.parents] == []
    assert (home.gradcam("level") / "contact_sheet.jpg").exists()
    assert (home.mlflow / "artifacts" / "run" / "test_predictions.parquet").exists()
    assert forget_sheets(home) == 0


def test_again_it_finds_nothing_and_where_nobody_withdrew_it_looks_at_nothing(home):
    home, _ = home
    assert forget(home, schemas.empty(schemas.WITHDRAWN), ["level"]) == 0
    assert forget(home, WITHDRAWN, ["level"]) > 0
    before = {p: p.stat().st_mtime_ns for p in home.root.rglob("*.parquet")}
    assert forget(home, WITHDRAWN, ["level"]) == 0
    assert {p: p.stat().st_mtime_ns for p in home.root.rglob("*.parquet")} == before
