"""What killed processes left half made goes; what living ones make stays."""

import os
import subprocess
import sys

import pytest

from hnp_pipeline.home import Home
from hnp_pipeline.leftovers import sweep
from hnp_pipeline.tables import replacing, scratch


@pytest.fixture
def dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_dead_process_leaves_nothing(tmp_path, dead):
    left = [
        tmp_path / "tables" / f".cohort.parquet.{dead}-0a1b2c3d.tmp",
        tmp_path / f".hnp.duckdb.{dead}-0a1b2c3d.tmp.wal",
        tmp_path / "models" / "level" / "fold=0" / ".tmpXyZ",
        tmp_path / ".pseudonym.key.00ff.tmp",
        tmp_path / "scratch" / f".{dead}-abc.tmp" / "model" / "weights",
    ]
    kept = [
        tmp_path / "tables" / "cohort.parquet",
        tmp_path / "cache" / "first" / ".lock",
        tmp_path / "logs" / ".x.tmp",
    ]
    for path in left + kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert len(sweep(Home(tmp_path))) == len(left)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


def test_what_a_living_process_makes_stays(tmp_path):
    with scratch(tmp_path / "tables") as folder, replacing(folder.parent / "a") as temporary:
        temporary.touch()
        assert sweep(Home(tmp_path)) == []
        assert temporary.exists() and folder.exists()


def test_a_number_that_was_given_to_a_younger_process_protects_nothing(tmp_path):
    path = tmp_path / f".a.{os.getpid()}-0a1b2c3d.tmp"
    path.touch()
    os.utime(path, (1, 1))
    assert sweep(Home(tmp_path)) == [path]
