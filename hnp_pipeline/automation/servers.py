"""Servers as child processes: started together, ended together, however the process that started them ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hnp_pipeline.errors import StepError

_LOOK = 0.5  # seconds between two looks whether all live
_PATIENCE = 20.0  # seconds that a server may take to end


def serve(
    commands: Mapping[str, Sequence[str | Path]],
    logs: Path,
    environment: Mapping[str, str],
    started: Callable[[], None] = lambda: None,
) -> int:
    """Run commands, each with a log of its own in `logs`, until Ctrl-C or SIGTERM; all that they started ends too.

    A process of its own, the guard, ends them when this one cannot: killed, or with the terminal that was closed.

    Raises:
        StepError: one of them ended by itself.
    """
    asked = threading.Event()  # to end; an exception in the midst of a start could lose sight of a server
    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(ending, lambda *_: asked.set())
    here = Path(__file__).resolve().parents[2]
    guard = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=here,
        env=environment,
        start_new_session=True,  # Ctrl-C is not for it
    )
    servers: dict[str, subprocess.Popen[bytes]] = {}
    try:
        assert guard.stdin is not None
        for name, command in commands.items():
            with (logs / f"{name.lower().replace(' ', '-')}.log").open("ab") as log:
                servers[name] = subprocess.Popen(
                    [str(word) for word in command],
                    stdout=log,
                    stderr=log,
                    env=environment,
                    cwd=here,
                    start_new_session=True,
                )
            guard.stdin.write(f"{servers[name].pid}\n".encode())
            guard.stdin.flush()
        started()
        while not asked.wait(_LOOK):
            for name, server in servers.items():
                if server.poll() is not None:
                    raise StepError(f"{name} ended with {server.returncode}: see {logs}")
        return 0
    finally:
        _end([s.pid for s in servers.values()], reap=lambda: [s.poll() for s in servers.values()])
        guard.kill()  # last: it would end them if this process died on the way
        guard.wait()


def _guard() -> None:
    """Read process groups from stdin, a line each; when nobody can write there any more, end them."""
    _end([int(line) for line in sys.stdin])


def _end(groups: Sequence[int], reap: Callable[[], object] = lambda: None) -> None:
    """End these process groups, softly first."""
    for group in groups:
        _told(group, signal.SIGTERM)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        reap()  # an ended child counts as living until then
        if not any(_told(group, 0) for group in groups):
            return
        time.sleep(0.1)
    for group in groups:
        _told(group, signal.SIGKILL)
    reap()


def _told(group: int, what: int) -> bool:
    """Send a signal; whether there was anybody."""
    with suppress(ProcessLookupError):
        os.killpg(group, what)
        return True
    return False


if __name__ == "__main__":
    _guard()
