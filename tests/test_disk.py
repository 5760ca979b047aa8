"""A disk that is full, or not ours to write: one line that says which file and what to do, the old file whole."""

import errno
import os
import sqlite3
import subprocess

import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest
import torch

from hnp_pipeline import disk, schemas
from hnp_pipeline.cohort.database import build_database
from hnp_pipeline.errors import StepError
from hnp_pipeline.explanation.directories import replacing_directory, write_bytes
from hnp_pipeline.imaging.cache import build_cache
from hnp_pipeline.study import Imaging
from hnp_pipeline.tables import content_hash_of, replacing, scratch, write_table, write_text
from hnp_pipeline.training import checkpoints

LARGE = pa.table({"x": np.random.default_rng(0).random(500_000)})  # 4 MB, and nothing to compress


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A disk of 2 MB."""
    place = tmp_path_factory.mktemp("disk")
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a tmpfs may not be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def database(folder):
    large = folder.parent / "large.parquet"
    columns = [c.name for c in schemas.METRICS]
    n = LARGE.num_rows
    rows = {c: LARGE["x"] if c == "value" else pa.array([None] * n, pa.string()) for c in columns}
    write_table(pa.table(rows), large)
    build_database({"metrics": large}, folder / "hnp.duckdb")


def cache(folder):
    pictures = folder.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    rng, rows = np.random.default_rng(0), []
    import hashlib

    for i in range(3):
        data = cv2.imencode(".png", rng.integers(0, 255, (64, 64), np.uint8))[1].tobytes()
        (pictures / f"{i}.png").write_bytes(data)
        rows.append((hashlib.sha256(data).hexdigest(), str(pictures / f"{i}.png")))
    images = pa.table({"sha256": [r[0] for r in rows], "path": [r[1] for r in rows]})
    build_cache(folder / "cache", images, Imaging(size=1024), 1)


def heat_maps(folder):
    with replacing_directory(folder / "level") as made:
        write_bytes(made / "a.png", b"x" * 3_000_000)


def spilled(folder):
    with scratch(folder) as place:
        write_bytes(place / "rows", b"x" * 3_000_000)


WRITERS = {
    "table": lambda folder: write_table(LARGE, folder / "cohort.parquet"),
    "text": lambda folder: write_text("x" * 3_000_000, folder / "index.html"),
    "database": database,
    "checkpoint": lambda folder: checkpoints.save(folder / "c.safetensors", {"a": torch.rand(1_000_000)}, {}),
    "heat maps": heat_maps,
    "scratch": spilled,
    "cache": cache,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_told_and_nothing_is_left(small, writer):
    before = sorted(p for p in small.rglob("*") if p.suffix == ".parquet")
    with pytest.raises(StepError, match=r"No space left on device|needs .* GB") as told:
        WRITERS[writer](small)
    assert str(small) in str(told.value) and "make room" in str(told.value)
    assert sorted(p for p in small.rglob("*") if p.suffix == ".parquet") == before
    assert not [p for p in small.rglob("*") if ".tmp" in p.name]


def test_the_old_table_stays_whole(small):
    path = small / "old.parquet"
    write_table(LARGE.slice(0, 100), path)
    before = content_hash_of(path)
    with pytest.raises(StepError, match=r"old\.parquet cannot be written"):
        write_table(LARGE, path)
    assert content_hash_of(path) == before


def test_a_disk_that_may_only_be_read(small):
    (small / "there").touch()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    try:
        with pytest.raises(
            StepError, match=r"there cannot be written \(Read-only file system\): let this user"
        ):
            write_text("x", small / "there")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small], check=True)


def test_sqlite_and_duckdb_are_understood(small):
    with sqlite3.connect(small / "a.db") as db, pytest.raises(sqlite3.OperationalError) as full:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (?)", ("x" * 4_000_000,))
    db.close()
    (small / "a.db").unlink()
    assert (
        disk.told(full.value, small)
        == f"{small} cannot be written (database or disk is full): make room, and run again"
    )
    with pytest.raises(duckdb.Error) as full, duckdb.connect(str(small / "b.duckdb")) as db:
        db.execute("CREATE TABLE t AS SELECT random() AS x FROM range(1000000)")
    (small / "b.duckdb").unlink(missing_ok=True)
    assert "No space left" in disk.told(full.value, small)


def test_a_database_that_is_none_is_told(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"\x80\x04N." * 100)  # a pickle
    with sqlite3.connect(tmp_path / "mlflow.db") as db, pytest.raises(sqlite3.DatabaseError) as error:
        db.execute("SELECT * FROM runs")
    db.close()
    told = disk.told(error.value, tmp_path)
    assert told.endswith("(file is not a database): a database of Dagster or MLflow in it is damaged: "
                         "bring it back from a copy")  # fmt: skip


def test_other_errors_are_not_the_disks():
    assert disk.told(ValueError("no space between the words"), "x") is None
    assert disk.told(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "x"), "x") is None


def test_a_raw_files_name_is_not_told(tmp_path):
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/raw/first/images/HONG^GILDONG.jpg")
    assert "HONG" not in disk.told(error, tmp_path)
    with pytest.raises(PermissionError), replacing(tmp_path / "table") as temporary:  # not of our writing
        temporary.touch()
        raise error
