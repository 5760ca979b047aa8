"""What tests share: real small studies, driven by the real command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared"


class Command:
    """`hnp` in a process of its own, with an environment that names no home."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd

    def __call__(self, *arguments: object, code: int | None = 0, **environment: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
        done = subprocess.run(
            [str(Path(sys.executable).parent / "hnp"), *map(str, arguments)],
            cwd=self.cwd,
            env=clean | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        told = done.stdout + done.stderr
        assert code is None or done.returncode == code, told
        assert "Traceback" not in told, told
        return told


@pytest.fixture(scope="session")
def hnp(tmp_path_factory) -> Command:
    return Command(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def phantom(tmp_path_factory, hnp) -> Path:
    """A phantom of 40 patients; not to be changed."""
    directory = tmp_path_factory.mktemp("phantom") / "phantom"
    hnp("phantom", directory, "--patients", 40, "--seed", 3)
    return directory


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that lies beside the project in its workplace."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder is not here")
    return SHARED
