"""Servers end with the process that started them, and so does all that they started, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# A server that starts another process, as Dagster's and MLflow's do, and says which. Both outlast a killed parent.
SERVER = ["sh", "-c", 'sleep 300 & echo "$$ $!" > "$0.new"; mv "$0.new" "$0"; wait']
PARENT = """
import os, sys
from pathlib import Path
from hnp_pipeline.automation.servers import serve
here = Path(sys.argv[1])
commands = {name: [*sys.argv[2:], here / name] for name in ("one", "two")}
print("ended with", serve(commands, here, os.environ))
"""


@pytest.fixture
def parent(tmp_path) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A process that serves, and its servers and their children."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(lambda: all((tmp_path / name).exists() for name in ("one", "two")))
    below = [int(pid) for name in ("one", "two") for pid in (tmp_path / name).read_text().split()]
    yield process, below
    for pid in [process.pid, *below]:
        if _lives(pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def _lives(pid: int) -> bool:
    """Not even a zombie counts, which nobody may collect in a container."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(true) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_all_end_with_it(parent, ending):
    process, below = parent
    assert len(below) == 4 and all(map(_lives, below))
    process.send_signal(ending)
    told, _ = process.communicate()
    assert process.returncode == (-ending if ending == signal.SIGKILL else 0)
    assert ("ended with 0" in told) == (process.returncode == 0)
    _until(lambda: not any(map(_lives, below)))


def test_a_server_that_ends_takes_the_others_along(parent):
    process, below = parent
    os.kill(below[0], signal.SIGKILL)
    _, told = process.communicate()
    assert process.returncode == 1 and "StepError: one ended with -9: see " in told
    _until(lambda: not any(map(_lives, below)))
