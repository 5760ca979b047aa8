"""Pictures to be cached."""

from pathlib import Path

import pyarrow as pa
import pytest
from imaging_pictures import encoded, radiograph

from hnp_pipeline.imaging.inspection import inspect_files


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> pa.Table:
    """40 images: sha256, path."""
    folder = tmp_path_factory.mktemp("films")
    names = [f"{i}.jpg" for i in range(40)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(encoded(radiograph(300, 200, i)))
    table = inspect_files(folder, pa.array(names), None, 10**8, 2)
    return pa.table({"sha256": table["sha256"], "path": [str(folder / name) for name in names]})


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "cache" / "first"
