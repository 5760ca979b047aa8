"""What a killed process left half made in a home: found by its name, and removed once that process is gone."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from hnp_pipeline.home import Home

# .cohort.parquet.<process>-<random>.tmp (and what DuckDB puts beside it), .<process>-<random>.tmp/; without a
# process: .pseudonym.key.<random>.tmp, and safetensors' .tmp<random>
_MADE = re.compile(r"\.(?:.*\.)?(\d+)-\w+\.tmp.*|\..*\.tmp|\.tmp.*")
_NOT_OURS = {"dagster", "mlflow", "logs"}


def sweep(home: Home) -> list[Path]:
    """Remove what is left half made, but for what a living process of this machine is making; returns what went.

    Only while no step runs on another machine: its processes are not seen from here.
    """
    gone = [path for path in _half_made(home.root) if not _alive(path)]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return gone


def _half_made(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):
        place = Path(folder)
        if place == root:
            below[:] = [name for name in below if name not in _NOT_OURS]
        found = [name for name in [*below, *files] if _MADE.fullmatch(name)]
        below[:] = [name for name in below if name not in found]
        yield from (place / name for name in found)


def _alive(path: Path) -> bool:
    """The process that the name tells lives, and is older than the file: else another was given its number."""
    made = _MADE.fullmatch(path.name)
    if not made or not made[1]:
        return False
    with suppress(psutil.Error, OSError):
        return psutil.Process(int(made[1])).create_time() <= path.stat().st_mtime + 1
    return False
