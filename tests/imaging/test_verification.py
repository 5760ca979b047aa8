"""What no time of change shows: a picture exchanged under the same size and time, cached pixels gone bad."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from imaging_pictures import encoded, radiograph

from hnp_pipeline import schemas
from hnp_pipeline.errors import StepError
from hnp_pipeline.home import Home
from hnp_pipeline.imaging.cache import ImageCache, build_cache
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.imaging.verification import verify_collection
from hnp_pipeline.study import Imaging, Study
from hnp_pipeline.tables import write_table

STUDY = Study(imaging=Imaging(size=64))


@pytest.fixture
def study(tmp_path) -> tuple[Path, Home]:
    """A collection of four pictures, of which two are the same, taken in and cached."""
    folder, home = tmp_path / "raw" / "first", Home(tmp_path / "home")
    folder.mkdir(parents=True)
    names = [f"{i}.jpg" for i in range(4)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(encoded(radiograph(300, 200, i % 3)))
    inspected = inspect_files(folder, pa.array(names), None, 10**8, 2)
    ids = [f"first/{i + 1}" for i in range(4)]
    write_table(inspected, home.intake("first", "files"))
    write_table(pa.table({"image_id": ids, "file": names}), home.intake("first", "names"))
    rows = [{"image_id": i, "sha256": s} for i, s in zip(ids, inspected["sha256"].to_pylist(), strict=True)]
    write_table(
        pa.Table.from_pylist(rows, schema=schemas.schema(schemas.INTAKE_RADIOGRAPHS)),
        home.intake("first", "radiographs"),
    )
    listed = pa.table({"sha256": inspected["sha256"], "path": [str(folder / name) for name in names]})
    build_cache(home.cache("first"), listed, STUDY.imaging, 2)
    return folder, home


def verified(study: tuple[Path, Home]) -> tuple[int, list[str], int, int]:
    found = verify_collection(*study, STUDY, 2)
    return found.pictures, found.changed, found.cached, found.mended


def exchange(file: Path, touched: bool) -> None:
    """One byte of the picture, late enough that it still decodes."""
    before, data = file.stat(), bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)
    if not touched:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def damage(home: Home) -> None:
    pixels = next(home.cache("first").glob("*/images.u8"))
    with pixels.open("r+b") as file:
        file.seek(64 * 64 + 5)
        file.write(b"\xff\x00\xff")


def test_nothing_wrong(study):
    assert verified(study) == (4, [], 3, 0)


def test_a_picture_exchanged_under_the_same_size_and_time_is_named_by_its_row(study):
    exchange(study[0] / "2.jpg", touched=False)
    assert verified(study) == (4, ["first/3"], 3, 0)


def test_what_changed_for_all_to_see_is_left_to_the_next_run(study):
    exchange(study[0] / "2.jpg", touched=True)
    assert verified(study) == (4, [], 3, 0)


def test_damaged_pixels_are_made_anew(study):
    _folder, home = study
    before = np.array(ImageCache.open(home.cache("first"), STUDY.imaging).images)
    damage(home)
    assert verified(study) == (4, [], 3, 1)
    assert verified(study) == (4, [], 3, 0)
    after = np.array(ImageCache.open(home.cache("first"), STUDY.imaging).images)
    assert sorted(map(bytes, before)) == sorted(map(bytes, after))


def test_damaged_pixels_whose_picture_is_another_now_are_not_made_up(study):
    damage(study[1])
    for file in study[0].iterdir():
        exchange(file, touched=False)
    with pytest.raises(StepError, match="changed since it was inspected"):
        verified(study)


def test_a_collection_that_was_never_cached(study):
    _folder, home = study
    next(home.cache("first").glob("*/index.parquet")).unlink()
    assert verified(study) == (4, [], 0, 0)
