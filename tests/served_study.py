"""A study under `hnp ui`: the real webserver, daemon and code server on a home of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.homes import is_fresh
from hnp_pipeline.definitions import study_assets
from hnp_pipeline.home import Home
from hnp_pipeline.project import resolve
from resources.tracking import Tracking


def until(what: str, found: Callable[[], Any], seconds: float = 180) -> Any:
    """What `found` answers once it answers anything."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.2)
    return answer


class Study:
    """What a person sees of a home, through Dagster's instance, MLflow's store and the UI's own interface."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, *ports: int) -> None:
        self.home, self.instance, self.ports = Home(home), instance, ports

    @property
    def port(self) -> int:
        """Of the Dagster UI; MLflow's and the report's are the next two of `ports`."""
        return self.ports[0]

    @property
    def tracking(self) -> Tracking:
        return Tracking(self.home, resolve({}, home=self.home.root).study.name)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer of the UI's GraphQL."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.load(answer)
        assert "errors" not in told, told
        return told["data"]

    def is_fresh(self) -> bool:
        """Nothing is out of date, and nothing runs."""
        return is_fresh(self.instance, study_assets(resolve({}, home=self.home.root)))

    def made(self, since: float = 0) -> Counter[str]:
        """How often each step was made, `level/fold_model[2]`, from a point in time on."""
        found: Counter[str] = Counter()
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])):
            run = record.dagster_run
            if record.create_timestamp.timestamp() >= since:
                part = run.tags.get("dagster/partition")
                made = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
                for entry in made:  # a run of a whole job carries no selection
                    key = entry.dagster_event.asset_key
                    found[key.to_user_string() + (f"[{part}]" if part else "")] += 1
        return found

    def run_of(self, name: str, partition: str, since: float = 0) -> dg.DagsterRun | None:
        """The latest run that makes this partition."""
        for record in self.instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": partition})):
            keys = {k.to_user_string() for k in record.dagster_run.asset_selection or ()}
            if name in keys and record.create_timestamp.timestamp() >= since:
                return record.dagster_run
        return None

    def runs_of(self, name: str, partition: str | None) -> list[dg.DagsterRun]:
        """Runs from the UI's own buttons that make an asset (or this partition of it), the latest first."""
        runs = [r.dagster_run for r in self.instance.get_run_records()]
        return [
            run
            for run in runs
            if name in {k.to_user_string() for k in run.asset_selection or ()}
            and run.tags.get("dagster/partition") == partition
            and "dagster/from_ui" in run.tags
        ]

    def says(self, run: dg.DagsterRun) -> list[str]:
        """The lines of a run's log that its step wrote."""
        return [e.user_message for e in self.instance.all_logs(run.run_id) if not e.is_dagster_event]

    def status(self, run: dg.DagsterRun) -> dg.DagsterRunStatus:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status

    def in_training(self, fold: str, since: float = 0) -> dg.DagsterRun:
        """The run that trains a fold, once its first epoch is over."""

        def found() -> dg.DagsterRun | None:
            run = self.run_of("level/fold_model", fold, since)
            return run if run and any("done: loss" in line for line in self.says(run)) else None

        return until(f"fold {fold} in training", found)

    def mlflow_runs(self, fold: str) -> list[Any]:
        """The MLflow runs of a fold, the latest first."""
        text = f"tags.`hnp.kind` = 'fold' and tags.`hnp.fold` = '{fold}'"
        return self.tracking.client.search_runs(
            [self.tracking.experiment_id], text, order_by=["start_time DESC"]
        )

    def slots(self) -> int:
        """Slots of the training pool that are taken."""
        return self.instance.event_log_storage.get_concurrency_info("gpu").active_slot_count

    def launch(self, job: str, partition: str | None = None, asset: list[str] | None = None) -> dg.DagsterRun:
        """Launch as the UI's button does."""
        place = {"repositoryLocationName": "hnp_pipeline", "repositoryName": "__repository__"}
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        selection = {"assetSelection": [{"path": asset}]} if asset else {}
        answer = self.ask(
            """
            mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
                __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
            """,
            p={
                "selector": {**place, "pipelineName": job, **selection},
                "mode": "default",
                "executionMetadata": {"tags": tags},
            },
        )["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run = self.instance.get_run_by_id(answer["run"]["runId"])
        assert run is not None
        return run

    def terminate(self, run: dg.DagsterRun) -> None:
        """Stop a run as the UI's button does."""
        self.ask("mutation($id: String!) { terminateRun(runId: $id) { __typename } }", id=run.run_id)

    def switch(self, sensor: str, on: bool) -> None:
        """A sensor's switch in the UI."""
        place = {"repositoryLocationName": "hnp_pipeline", "repositoryName": "__repository__"}
        if on:
            self.ask(
                "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }",
                s={**place, "sensorName": sensor},
            )
            return
        found = self.ask(
            "query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { id } } }",
            s={**place, "sensorName": sensor},
        )["sensorOrError"]
        answer = self.ask("mutation($id: String!) { stopSensor(id: $id) { __typename } }", id=found["id"])
        assert answer["stopSensor"]["__typename"] == "StopSensorMutationResult", answer


@contextmanager
def served(home: Path, raw: Path, profile: Path) -> Iterator[Study]:
    """`hnp ui` on a new home, until the body ends."""
    ports = _free_ports(3)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
    flags = zip(("--port", "--mlflow-port", "--report-port"), map(str, ports), strict=True)
    command = [str(Path(sys.executable).parent / "hnp"), "ui", "--home", str(home)]
    process = subprocess.Popen(
        [*command, *(word for flag in flags for word in flag)],
        env=clean | {"HNP_RAW": str(raw), "HNP_PROFILE": str(profile), "OMP_NUM_THREADS": "1"},
        cwd=home.parent,
        start_new_session=True,
    )
    try:
        until("dagster.yaml", (home / "dagster" / "dagster.yaml").exists, 60)
        with opened(home) as instance:
            study = Study(home, instance, *ports)
            until("the Dagster UI", lambda: _answers(study, process), 120)
            yield study
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def opened(home: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a home."""
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(home / "dagster")
    try:
        with dg.DagsterInstance.get() as instance:
            yield instance
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before


def _answers(study: Study, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "hnp ui has ended"
    try:
        return bool(study.ask("{ version }"))
    except OSError:
        return False


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
