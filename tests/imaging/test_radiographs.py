from pathlib import Path

import pyarrow.parquet as pq
import pytest
from imaging_pictures import encoded, radiograph

from hnp_pipeline.errors import TableError
from hnp_pipeline.imaging import inspection, radiographs
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.imaging.radiographs import RadiographCounts, RadiographFiles, write_radiographs
from hnp_pipeline.intake.collection import open_collection
from hnp_pipeline.intake.xrays import read_xrays, with_images
from hnp_pipeline.study import Intake

KEY = b"a key of the tests"
NAMES = [f"{i % 4}.jpg" for i in range(10)] + ["absent.jpg", ""]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "raw" / "first"
    folder.mkdir(parents=True)
    for i in range(4):
        (folder / f"{i}.jpg").write_bytes(encoded(radiograph(60, 40, seed=i)))
    lines = [f"P{i},2020-03-01,AP,{name},40" for i, name in enumerate(NAMES)]
    (folder / "xrays.csv").write_text("patient_id,study_date,view,file,age\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture
def files(tmp_path: Path) -> RadiographFiles:
    return RadiographFiles(*(tmp_path / "home" / f"{n}.parquet" for n in ("rows", "names", "inspected")))


def _write(folder: Path, files: RadiographFiles) -> RadiographCounts:
    return write_radiographs(open_collection(folder), Intake(), KEY, files, threads=2)


def test_in_batches_as_at_once(folder, files, monkeypatch):
    monkeypatch.setattr(radiographs, "_BATCH", 5)
    assert _write(folder, files) == RadiographCounts(rows=12, unreadable=1, untyped=1)
    xrays = read_xrays(open_collection(folder), Intake(), KEY)
    whole = with_images(xrays, inspect_files(folder, xrays["file"], None, Intake().maximum_pixels, threads=1))
    assert pq.read_table(files.rows).equals(whole)
    assert pq.read_table(files.names).equals(xrays.select(["image_id", "file"]))
    assert set(pq.read_table(files.inspected)["file"].to_pylist()) == {*NAMES} - {""}
    assert {p.name for p in files.rows.parent.iterdir()} == {
        p.name for p in (files.rows, files.names, files.inspected)
    }


def test_what_is_known_is_not_read_again(folder, files, monkeypatch):
    monkeypatch.setattr(radiographs, "_BATCH", 5)
    _write(folder, files)
    before = pq.read_table(files.rows)
    read: list[str] = []
    decode = inspection.read_picture
    monkeypatch.setattr(inspection, "read_picture", lambda f, n: (read.append(f.name), decode(f, n))[1])
    (folder / "1.jpg").write_bytes(encoded(radiograph(64, 48, seed=9)))
    _write(folder, files)
    assert {Path(str(n)).name for n in read if not isinstance(n, int)} <= {"1.jpg"}
    assert 1 <= len(read) <= 2  # once a batch that names it
    after = pq.read_table(files.rows)
    changed = [i for i in range(12) if before["sha256"][i] != after["sha256"][i]]
    assert changed == [1, 5, 9]


def test_a_broken_table_leaves_what_there_was(folder, files):
    _write(folder, files)
    before = {p: p.read_bytes() for p in files.rows.parent.iterdir()}
    (folder / "xrays.csv").write_text('patient_id,study_date,view,file,age\nP,2020-03-01,AP,"0.jpg,40\n')
    with pytest.raises(TableError):
        _write(folder, files)
    assert {p: p.read_bytes() for p in files.rows.parent.iterdir()} == before


def test_no_x_rays(folder, files):
    (folder / "xrays.csv").unlink()
    (folder / "surgeries.csv").write_text("patient_id,surgery_date,site\n")
    assert _write(folder, files) == RadiographCounts(0, 0, 0)
    assert pq.read_table(files.rows).num_rows == 0
