"""Steps on a Ray cluster, through dagster-ray's executor (`executor: ray`). One machine needs none of this.

`hnp run`, or the daemon, keeps a small process a run; the run's step is a Ray job, which Ray starts on a node that
has the step's share free. Nodes share the home's file system and Dagster's storage (docs/cluster.md).
"""

import os
import sys
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from hnp_pipeline.automation.orphans import CLUSTER
from hnp_pipeline.errors import SettingsError
from hnp_pipeline.project import Project
from hnp_pipeline.study import Compute

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_STOP_SECONDS = 30.0  # the longest wait for a job that was told to stop


def executor(project: Project) -> dg.ExecutorDefinition:
    """What runs the steps of a run: this very process, or a Ray job.

    Raises:
        SettingsError: Ray is asked for and not installed.
    """
    if project.study.compute.executor == "local":
        # One run makes one asset, in a process of its own already: no second process for its step.
        return dg.in_process_executor
    needs_ray()
    from dagster_ray import ray_executor

    variables = {"HNP_HOME": project.home.root, "DAGSTER_HOME": project.home.dagster}
    return ray_executor.configured(
        {
            "ray": {
                "address": project.study.compute.ray.address,
                "env_vars": [f"{name}={value}" for name, value in variables.items()],
            }
        }
    )


def run_tags(compute: Compute) -> dict[str, str]:
    """Tags of a run by which its Ray job is found again."""
    return {CLUSTER: compute.ray.address} if compute.executor == "ray" else {}


def execute(
    instance: dg.DagsterInstance,
    run_id: str,
    keys: Collection[dg.AssetKey],
    partition: str | None,
    tags: Mapping[str, str],
) -> bool:
    """A run of these assets whose step is a Ray job; waits for its end. Whether it succeeded.

    The node loads the code location anew, from the home that HNP_HOME names, with the interpreter of this process:
    the same environment must be at the same place on every node.
    """
    from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
    from dagster._core.execution.api import execute_run

    os.environ.setdefault("DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS", "0.3")  # 1 costs 1.4 s a step
    location = ReconstructableRepository.for_module("hnp_pipeline.definitions", "defs")._replace(
        executable_path=sys.executable, entry_point=[sys.executable, "-m", "dagster"]
    )
    job = ReconstructableJob(location, "__ASSET_JOB", asset_selection=frozenset(keys))
    run = instance.create_run_for_job(
        job.get_definition(),
        run_id=run_id,
        tags={**tags, **({"dagster/partition": partition} if partition is not None else {})},
        job_code_origin=job.get_python_origin(),
        asset_selection=frozenset(keys),
    )
    return execute_run(job, run, instance).success


def stop_jobs(address: str, run_id: str) -> None:
    """Stop what a dead run left on the cluster, and wait until it has ended."""
    client = _client(address)
    mine = [
        j.submission_id
        for j in client.list_jobs()
        if j.submission_id
        and not j.status.is_terminal()
        and (j.metadata or {}).get("dagster/run-id") == run_id
    ]
    for job in mine:
        client.stop_job(job)
    end = time.monotonic() + _STOP_SECONDS
    while any(not client.get_job_status(j).is_terminal() for j in mine) and time.monotonic() < end:
        time.sleep(0.2)


def _client(address: str) -> "JobSubmissionClient":
    needs_ray()
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except ConnectionError:
        raise SettingsError(f"no Ray cluster answers at {address} (compute.ray.address)") from None


def needs_ray() -> None:
    """Raises SettingsError where Ray is not installed."""
    from importlib.util import find_spec

    if find_spec("ray") is None or find_spec("dagster_ray") is None:
        raise SettingsError("executor: ray needs Ray: pip install '.[cluster]', or set HNP_EXECUTOR=local")
