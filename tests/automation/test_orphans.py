"""Runs whose process is gone."""

import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from hnp_pipeline.automation.orphans import OWNER, clean_up


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        yield instance


@dg.asset
def nothing(): ...


def run_of(instance, status, **tags):
    job = dg.Definitions([nothing]).resolve_implicit_global_asset_job_def()
    return instance.create_run_for_job(job, status=status, tags=tags).run_id


def note_process(instance, run_id, pid):
    data = EngineEventData({"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event("at work", instance.get_run_by_id(run_id), data)


def test_a_commands_orphan_is_marked_failed_and_told(instance):
    run_id = run_of(instance, dg.DagsterRunStatus.STARTED, **{OWNER: "command"})
    told, ended = [], []
    clean_up(instance, told.append, only_command=True, ended=ended.append)
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert ended == [run_id] and run_id[:8] in told[0]


def test_a_run_with_a_dead_process_is_marked_and_a_living_one_is_not(instance):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    runs = {}
    for pid in (gone.pid, os.getpid()):
        run_id = run_of(instance, dg.DagsterRunStatus.STARTED)
        note_process(instance, run_id, pid)
        runs[pid] = run_id
    clean_up(instance, lambda _: None, only_command=False)
    assert instance.get_run_by_id(runs[gone.pid]).status == dg.DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(runs[os.getpid()]).status == dg.DagsterRunStatus.STARTED


def made_long_ago(instance, run_id, seconds=3600):
    """As if the run had waited in the queue: only its making is moved back."""
    from sqlalchemy import text

    with instance.run_storage.connect() as connection:
        connection.execute(
            text("UPDATE runs SET create_timestamp = datetime(create_timestamp, :by) WHERE run_id = :id"),
            {"by": f"-{seconds} seconds", "id": run_id},
        )


def test_a_run_that_waited_long_in_the_queue_and_has_just_been_launched_is_left_alone(instance):
    waiting = run_of(instance, dg.DagsterRunStatus.STARTING)
    at_work = run_of(instance, dg.DagsterRunStatus.STARTING)
    for run_id in (waiting, at_work):
        made_long_ago(instance, run_id)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        note_process(instance, at_work, process.pid)
        clean_up(instance, lambda _: None, only_command=False)
        statuses = {instance.get_run_by_id(r).status for r in (waiting, at_work)}
    assert statuses == {dg.DagsterRunStatus.STARTING}


def test_a_young_run_without_a_process_is_left_alone(instance):
    run_id = run_of(instance, dg.DagsterRunStatus.STARTING)
    clean_up(instance, lambda _: None, only_command=False)
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTING
