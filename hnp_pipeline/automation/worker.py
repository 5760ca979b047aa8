"""One Dagster run in a process of its own: what `hnp run` starts for each step. On a cluster it only looks on."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import dagster as dg

from hnp_pipeline.automation.orphans import OWNER
from hnp_pipeline.automation.planner import ATTEMPT, Target
from hnp_pipeline.errors import StudyError
from hnp_pipeline.home import Home
from hnp_pipeline.locks import locked
from hnp_pipeline.tables import scratch, writing

SERVER = multiprocessing.get_context("forkserver")


@dataclass
class Worker:
    """A step being made."""

    target: Target
    run_id: str
    process: ForkServerProcess
    attempt: str
    told: Connection  # what the process says when its disk keeps it from telling the instance
    cursor: str | None = None  # how far its events have been shown

    @classmethod
    def start(cls, home: Home, target: Target, keys: list[dg.AssetKey], attempt: str) -> "Worker":
        """Start a run of this step on the instance that DAGSTER_HOME names."""
        run_id = str(uuid.uuid4())
        told, tells = SERVER.Pipe(duplex=False)
        process = SERVER.Process(
            target=_work, args=(home, run_id, target.partition, keys, attempt, tells), name=target.name
        )
        process.start()
        tells.close()
        return cls(target, run_id, process, attempt, told)

    def last_words(self) -> str | None:
        """Why the process ended, if it had no other way to say so."""
        with suppress(EOFError, OSError):
            if self.told.poll():
                return self.told.recv_bytes().decode()
        return None

    def interrupt(self) -> None:
        """Ask the run to stop, as Ctrl-C does."""
        if self.process.pid and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGINT)


def _work(
    home: Home, run_id: str, partition: str | None, keys: list[dg.AssetKey], attempt: str, tells: Connection
) -> None:
    _print_to(Path(os.devnull))  # the terminal is the parent's, even to one that dies in its first moment
    os.setsid()  # Ctrl-C is the parent's to pass on
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        with writing(home.root):
            home.logs.mkdir(parents=True, exist_ok=True)
            _print_to(home.logs / f"{run_id}.log")
            with scratch(home.root / "scratch") as temporary:  # swept after a kill, as /tmp is not
                tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
                success = _run(home, run_id, partition, keys, attempt)
    except StudyError as error:
        tells.send_bytes(str(error).encode())
        raise
    sys.exit(0 if success else 1)


def _print_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _run(home: Home, run_id: str, partition: str | None, keys: list[dg.AssetKey], attempt: str) -> bool:
    from hnp_pipeline.automation import cluster
    from hnp_pipeline.definitions import build_defs
    from hnp_pipeline.project import resolve

    project = resolve(os.environ)
    tags = {OWNER: "command", ATTEMPT: attempt} | cluster.run_tags(project.study.compute)
    with locked(home.root / "children.lock", shared=True, wait=True), dg.DagsterInstance.get() as instance:
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            return False  # killed before this process held the lock: another command may be at work
        if project.study.compute.executor == "ray":
            return cluster.execute(instance, run_id, keys, partition, tags)
        job = build_defs(project=project).resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            run_id=run_id,
            asset_selection=keys,
            partition_key=partition,
            instance=instance,
            tags=tags,
            raise_on_error=False,
        )
        return result.success


def _follow_parent() -> None:
    """A killed command takes its runs along."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        while True:  # a library may swallow one
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
