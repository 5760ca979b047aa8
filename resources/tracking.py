"""Every run in MLflow: an experiment a study, a parent run a task, a child run a fold, and an evaluation run."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from hnp_pipeline.automation.orphans import locked
from hnp_pipeline.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What makes two runs the same attempt at the same thing: an unfinished one is reopened, not repeated.
_IDENTITY = ("hnp.kind", "hnp.task", "hnp.fold", "hnp.collection", "hnp.settings", "hnp.development_set")


@dataclass(frozen=True)
class Tracking:
    """The MLflow of a home."""

    home: Home
    experiment: str
    address: str = "http://127.0.0.1:5000"  # where `hnp ui` shows it

    @property
    def store(self) -> str:
        """The tracking URI."""
        return f"sqlite:///{self.home.mlflow / 'mlflow.db'}"

    @cached_property
    def client(self) -> "MlflowClient":
        """A client; the first one on a home makes its database."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        self.home.mlflow.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.home.mlflow / "create.lock", wait=True):  # two processes must not both migrate it
            client = MlflowClient(self.store, registry_uri=self.store)
            if client.get_experiment_by_name(self.experiment) is None:
                client.create_experiment(
                    self.experiment, artifact_location=str(self.home.mlflow / "artifacts")
                )
        return client

    @cached_property
    def experiment_id(self) -> str:
        """The study's experiment."""
        found = self.client.get_experiment_by_name(self.experiment)
        assert found is not None  # made with the client
        return found.experiment_id

    def link(self, run_id: str) -> str:
        """The run's address in the MLflow UI."""
        return f"{self.address}/#/experiments/{self.experiment_id}/runs/{run_id}"

    def find(self, **identity: str) -> str | None:
        """The latest run with these tags (`kind="task"` is the tag `hnp.kind`), if there is one."""
        text = " and ".join(f"tags.`hnp.{k}` = '{v}'" for k, v in identity.items())
        found = self.client.search_runs(
            [self.experiment_id], text, max_results=1, order_by=["start_time DESC"]
        )
        return found[0].info.run_id if found else None

    def parent(self, task: str, settings: str, development_set: str) -> str:
        """The task's parent run for these settings and this development set; made if need be."""
        with locked(self.home.mlflow / "parent.lock", wait=True):
            identity = {
                "kind": "task",
                "task": task,
                "settings": settings,
                "development_set": development_set,
            }
            if run_id := self.find(**identity):
                return run_id
            tags = {f"hnp.{k}": v for k, v in identity.items()}
            return self.client.create_run(self.experiment_id, tags=tags, run_name=task).info.run_id

    @contextmanager
    def run(
        self, context: dg.AssetExecutionContext, name: str, tags: Mapping[str, str], parent: str | None = None
    ) -> Iterator["TrackedRun"]:
        """A run for this step: a failed or killed one with the same tags is reopened, else one is made.

        It ends FINISHED, FAILED when the body raises, or KILLED when it is interrupted.
        """
        where = {
            "dagster.run_id": context.run_id,
            "dagster.asset": context.asset_key.to_user_string(),
            **({"dagster.partition": context.partition_key} if context.has_partition_key else {}),
            **({"mlflow.parentRunId": parent} if parent else {}),
        }
        named = {f"hnp.{k}": v for k, v in tags.items()}
        last = self.find(**{k.removeprefix("hnp."): v for k, v in named.items() if k in _IDENTITY})
        if last is None or self.client.get_run(last).info.status == "FINISHED":
            last = self.client.create_run(
                self.experiment_id, tags={**named, **where}, run_name=name
            ).info.run_id
        else:
            self.client.update_run(last, status="RUNNING")
            for key, value in {**named, **where}.items():
                self.client.set_tag(last, key, value)
        with self._ending(last):
            yield TrackedRun(self, last)

    @contextmanager
    def reopened(self, context: dg.AssetExecutionContext, run_id: str) -> Iterator["TrackedRun"]:
        """A run that is there already, such as a task's parent; it ends as `run` does."""
        self.client.update_run(run_id, status="RUNNING")
        self.client.set_tag(run_id, "dagster.run_id", context.run_id)
        with self._ending(run_id):
            yield TrackedRun(self, run_id)

    @contextmanager
    def _ending(self, run_id: str) -> Iterator[None]:
        try:
            yield
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            self.client.set_terminated(run_id, "KILLED")
            raise
        except BaseException:
            self.client.set_terminated(run_id, "FAILED")
            raise
        self.client.set_terminated(run_id, "FINISHED")

    def end_orphans(self, dagster_run: str) -> None:
        """End as KILLED the runs that a dead Dagster run left running."""
        if not (self.home.mlflow / "mlflow.db").exists():
            return
        text = f"tags.`dagster.run_id` = '{dagster_run}' and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([self.experiment_id], text):
            self.client.set_terminated(run.info.run_id, "KILLED")


@dataclass(frozen=True)
class TrackedRun:
    """One MLflow run."""

    tracking: Tracking
    id: str

    @property
    def link(self) -> str:
        """Its address in the MLflow UI."""
        return self.tracking.link(self.id)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log flat parameters; a reopened run keeps those it has."""
        from mlflow.entities import Param

        has = self.tracking.client.get_run(self.id).data.params
        new = [Param(k, str(v)[:500]) for k, v in values.items() if k not in has]
        self.tracking.client.log_batch(self.id, params=new)

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Log figures at a step (an epoch); what cannot be computed is left out."""
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        rows = [Metric(k, v, now, step) for k, v in values.items() if v is not None]
        self.tracking.client.log_batch(self.id, metrics=rows)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file with the run."""
        self.tracking.client.log_artifact(self.id, str(path), folder)

    def text(self, text: str, name: str) -> None:
        """Keep a text file with the run."""
        self.tracking.client.log_text(self.id, text, name)
