"""What killed processes left behind on the instance."""

import time
from collections.abc import Callable

import dagster as dg
import psutil

OWNER = "hnp/owner"  # run tag: `command` for the runs of `hnp run`
CLUSTER = "hnp/cluster"  # run tag: the address of the Ray cluster that its step runs on
_START_TIMEOUT = 120.0  # seconds since it was launched, however long it had been queued; run_monitoring's start_timeout_seconds in dagster.yaml
_HEARTBEAT = 90.0  # seconds; a daemon beats every 30


def clean_up(
    instance: dg.DagsterInstance,
    say: Callable[[str], None],
    *,
    only_command: bool,
    ended: Callable[[str], None] = lambda _run_id: None,
) -> None:
    """Mark runs whose process is gone as failed and free their pool slots.

    Args:
        instance: the Dagster instance.
        say: takes a line for a person.
        only_command: the caller holds the command's lock and no child of another command lives, so every
            unfinished run of a command is an orphan.
        ended: called with the id of each run that was marked (to end its MLflow runs).
    """
    status = dg.DagsterRunStatus
    unfinished = [status.NOT_STARTED, status.STARTING, status.STARTED, status.CANCELING]
    for record in instance.get_run_records(dg.RunsFilter(statuses=unfinished)):
        run = record.dagster_run
        process = _process(instance, run.run_id)
        orphan = (
            (only_command and run.tags.get(OWNER) == "command")
            or (process is not None and _is_gone(*process))
            or (process is None and time.time() - record.update_timestamp.timestamp() > _START_TIMEOUT)
        )
        if orphan:
            say(f"run {run.run_id[:8]} ({run.status.value.lower()}) has no process any more: marked failed")
            ended(run.run_id)  # first: once buried, it is looked at no more
            bury(instance, run, "its process is gone")
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        ghost = instance.get_run_by_id(run_id)
        if ghost is None or ghost.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def cancel_forgotten(instance: dg.DagsterInstance, say: Callable[[str], None]) -> None:
    """Cancel the runs that wait for a daemon where there is none."""
    if not _daemon_is_alive(instance):
        for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
            say(f"run {record.dagster_run.run_id[:8]} was queued for a daemon that is gone: cancelled")
            instance.report_run_canceled(record.dagster_run)


def bury(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """Mark a run failed, free its pool slots, and end what it left on a cluster."""
    if address := run.tags.get(CLUSTER):
        from hnp_pipeline.automation.cluster import stop_jobs

        stop_jobs(address, run.run_id)
    instance.report_run_failed(run, message)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The process that Dagster last noted for the run, and when (its engine events carry the number)."""
    for entry in reversed(instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
        if "pid" in metadata:
            return int(str(metadata["pid"].value)), entry.timestamp
    return None


def _is_gone(pid: int, noted: float) -> bool:
    """No such process, or a younger one that was given the same number after it had been noted."""
    try:
        return (
            psutil.Process(pid).create_time() > noted + 5
            or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return True


def _daemon_is_alive(instance: dg.DagsterInstance) -> bool:
    beats = instance.get_daemon_heartbeats().values()
    return any(time.time() - b.timestamp < _HEARTBEAT for b in beats)
