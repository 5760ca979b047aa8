"""One Dagster run in a process of its own: what `hnp run` starts for each step. On a cluster it only looks on."""

import multiprocessing
import os
import signal
import sys
import threading
import uuid
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess

import dagster as dg

from hnp_pipeline.automation.orphans import OWNER, locked
from hnp_pipeline.automation.planner import ATTEMPT, Target
from hnp_pipeline.home import Home

SERVER = multiprocessing.get_context("forkserver")


@dataclass
class Worker:
    """A step being made."""

    target: Target
    run_id: str
    process: ForkServerProcess
    attempt: str
    cursor: str | None = None  # how far its events have been shown

    @classmethod
    def start(cls, home: Home, target: Target, keys: list[dg.AssetKey], attempt: str) -> "Worker":
        """Start a run of this step on the instance that DAGSTER_HOME names."""
        run_id = str(uuid.uuid4())
        process = SERVER.Process(
            target=_work, args=(home, run_id, target.partition, keys, attempt), name=target.name
        )
        process.start()
        return cls(target, run_id, process, attempt)

    def interrupt(self) -> None:
        """Ask the run to stop, as Ctrl-C does."""
        if self.process.pid and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGINT)


def _work(home: Home, run_id: str, partition: str | None, keys: list[dg.AssetKey], attempt: str) -> None:
    os.setsid()  # Ctrl-C is the parent's to pass on
    os.umask(0o077)
    home.logs.mkdir(parents=True, exist_ok=True)
    log = os.open(home.logs / f"{run_id}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_follow_parent, daemon=True).start()

    from hnp_pipeline.automation import cluster
    from hnp_pipeline.definitions import build_defs
    from hnp_pipeline.project import resolve

    project = resolve(os.environ)
    tags = {OWNER: "command", ATTEMPT: attempt} | cluster.run_tags(project.study.compute)
    with locked(home.root / "children.lock", shared=True, wait=True), dg.DagsterInstance.get() as instance:
        if project.study.compute.executor == "ray":
            success = cluster.execute(instance, run_id, keys, partition, tags)
        else:
            job = build_defs(project).resolve_implicit_global_asset_job_def()
            result = job.execute_in_process(
                run_id=run_id,
                asset_selection=keys,
                partition_key=partition,
                instance=instance,
                tags=tags,
                raise_on_error=False,
            )
            success = result.success
    sys.exit(0 if success else 1)


def _follow_parent() -> None:
    """A killed command takes its runs along."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
