"""A real Ray cluster of two nodes on loopback."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.nodes import Nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Two nodes with two CPUs each."""
    pytest.importorskip("ray", reason="Ray is not installed: make cluster")
    pytest.importorskip("dagster_ray", reason="dagster-ray is not installed: make cluster")
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets need a short path
    cluster = Nodes(folder / "r", 2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
