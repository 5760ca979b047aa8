from collections.abc import Callable
from pathlib import Path

import pytest

from hnp_pipeline.intake.collection import Collection, open_collection

KEY = b"a key of the tests"


@pytest.fixture
def key() -> bytes:
    return KEY


@pytest.fixture
def deliver(tmp_path: Path) -> Callable[..., Collection]:
    """Write files (name without dots = .csv) into a collection's folder and open it."""

    def write(name: str = "first", **files: str | bytes) -> Collection:
        folder = tmp_path / "raw" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            path = folder / ("collection.toml" if file == "toml" else f"{file}.csv")
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_collection(folder)

    return write
