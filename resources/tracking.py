"""Every run in MLflow: an experiment a study; under a run a task one a fold, one on the test set, one of the model.

A run's name and tags say what it is: kind, task, fold, the hashes of settings and development set, and the commit.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from hnp_pipeline.home import Home
from hnp_pipeline.locks import locked
from hnp_pipeline.tables import replacing
from hnp_pipeline.vocabulary import NOTICE
from resources.checkout import code_tags
from resources.relocation import settle
from resources.tracked_run import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Without it the MLflow UI shows its pages for language models.
_AS_TRAINING = "?workflowType=machine_learning"

# What makes two runs the same attempt at the same thing: an unfinished one is reopened, not repeated.
_IDENTITY = ("kind", "task", "fold", "collection", "settings", "development_set")
_NOTES = {
    "cache": "A collection's images, prepared for the networks.",
    "task": "All four folds of a task: their mean and spread on validation, and the ensemble on the test set.",
    "fold": "One fold: trained on the other three, judged on its own after each epoch.",
    "evaluation": "The ensemble of the four models on patients that none of them has seen.",
    "model": "The four models as one, as registered.",
    "comparison": "Paired differences in AUC between the test predictions of two runs.",
}


@dataclass(frozen=True)
class Tracking:
    """The MLflow of a home."""

    home: Home
    experiment: str
    address: str = "http://127.0.0.1:5000"  # where `hnp ui` shows it
    report: str = "http://127.0.0.1:3001"  # and the report

    @property
    def store(self) -> str:
        """The tracking URI."""
        return f"sqlite:///{self.home.mlflow / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Where the files of runs and models lie."""
        return self.home.mlflow / "artifacts"

    @cached_property
    def client(self) -> "MlflowClient":
        """A client; the first one on a home makes its database."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        database = self.home.mlflow / "mlflow.db"
        self.home.mlflow.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.home.mlflow / "create.lock", wait=True):  # two processes must not both migrate it
            if not database.exists():  # MLflow cannot go on with one that it was killed while making
                for left in self.home.mlflow.glob(f".{database.name}.*"):
                    left.unlink()
                with replacing(database) as temporary:
                    MlflowClient(f"sqlite:///{temporary}").search_experiments()
            settle(database, self.artifacts)
            client = MlflowClient(self.store, registry_uri=self.store)
            if client.get_experiment_by_name(self.experiment) is None:
                client.create_experiment(self.experiment, artifact_location=str(self.artifacts))
        return client

    @cached_property
    def experiment_id(self) -> str:
        """The study's experiment."""
        found = self.client.get_experiment_by_name(self.experiment)
        assert found is not None  # made with the client
        return found.experiment_id

    def link(self, run_id: str) -> str:
        """The run's address in the MLflow UI."""
        return self.shown(f"experiments/{self.experiment_id}/runs/{run_id}")

    def shown(self, page: str) -> str:
        """The address of one of the MLflow UI's pages."""
        return f"{self.address}/#/{page}{_AS_TRAINING}"

    def find(self, **identity: str) -> str | None:
        """The latest run with these tags (`kind="task"` is the tag `hnp.kind`), if there is one."""
        text = " and ".join(f"tags.`{k}` = '{v}'" for k, v in _named(identity).items())
        found = self.client.search_runs(
            [self.experiment_id], text, max_results=1, order_by=["start_time DESC"]
        )
        return found[0].info.run_id if found else None

    def at(self, link: str) -> TrackedRun | None:
        """The run at an address that `link` once gave, to add to; it stays as it ended. None where it was deleted."""
        from mlflow.exceptions import MlflowException

        run_id = link.partition("/runs/")[2].partition("?")[0]
        try:
            there = self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException:
            return None
        return TrackedRun(self, run_id) if there else None

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
                if self.client.get_run(run_id).info.status in ("KILLED", "FAILED"):
                    self.client.update_run(run_id, status="RUNNING")
                return run_id
            return self._create(identity)

    def runs(self) -> list["Run"]:
        """Every run of the home, the latest first."""
        experiments = [e.experiment_id for e in self.client.search_experiments()]
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                experiments, order_by=["start_time DESC"], max_results=1000, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    @contextmanager
    def alone(self, name: str, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
        """A run of its own, of no Dagster step; it ends as `run` does."""
        run_id = self._create(tags, name=name)
        with self._ending(run_id):
            yield TrackedRun(self, run_id)

    def _create(
        self, tags: Mapping[str, str], others: Mapping[str, str] | None = None, name: str | None = None
    ) -> str:
        """A new run, if need be named by its tags: `level 3f2a91 fold 2`."""
        kind = tags["kind"]
        if name is None:
            ending = {"task": "", "fold": f" fold {tags.get('fold')}", "evaluation": " test"}
            of = tags.get("task") or tags["collection"]
            name = f"{of} {tags['settings'][:6]}{ending.get(kind, f' {kind}')}"
        note = {"mlflow.note.content": f"{_NOTES[kind]} {NOTICE}", "mlflow.source.name": "hnp_pipeline"}
        all_tags = {**_named(tags), **note, **code_tags(), **(others or {})}
        return self.client.create_run(self.experiment_id, tags=all_tags, run_name=name).info.run_id

    @contextmanager
    def run(
        self, context: dg.AssetExecutionContext, tags: Mapping[str, str], parent: str | None = None
    ) -> Iterator[TrackedRun]:
        """A run for this step: a failed or killed one with the same tags is reopened, else one is made.

        It ends FINISHED, FAILED when the body raises, or KILLED when it is interrupted.
        """
        where = {
            "dagster.run_id": context.run_id,
            "dagster.asset": context.asset_key.to_user_string(),
            **({"dagster.partition": context.partition_key} if context.has_partition_key else {}),
            **({"mlflow.parentRunId": parent} if parent else {}),
        }
        last = self.find(**{k: v for k, v in tags.items() if k in _IDENTITY})
        if last is None or self.client.get_run(last).info.status == "FINISHED":
            last = self._create(tags, where)
        else:
            for key, value in {**_named(tags), **where, **code_tags()}.items():
                self.client.set_tag(last, key, value)
            self.client.update_run(last, status="RUNNING")  # last: `end_orphans` finds it by its tag
        with self._ending(last):
            yield TrackedRun(self, last)

    @contextmanager
    def reopened(self, context: dg.AssetExecutionContext, run_id: str) -> Iterator[TrackedRun]:
        """A run that is there already, such as a task's parent; it ends as `run` does."""
        self.client.set_tag(run_id, "dagster.run_id", context.run_id)
        self.client.update_run(run_id, status="RUNNING")
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
        self._kill(f"tags.`dagster.run_id` = '{dagster_run}' and attributes.status = 'RUNNING'")

    def end_all(self) -> None:
        """End as KILLED whatever still counts as running: when no Dagster run is in flight, nothing does."""
        self._kill("tags.`hnp.kind` != 'comparison' and attributes.status = 'RUNNING'")

    def _kill(self, which: str) -> None:
        if not self._any_running():
            return
        for run in self.client.search_runs([self.experiment_id], which):
            self.client.set_terminated(run.info.run_id, "KILLED")

    def _any_running(self) -> bool:
        """A look past MLflow, whose import takes longer than the rest of a command that has nothing to do."""
        database = self.home.mlflow / "mlflow.db"
        if not database.exists():
            return False
        try:
            with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=30)) as db:
                return (
                    db.execute("SELECT 1 FROM runs WHERE status = 'RUNNING' LIMIT 1").fetchone() is not None
                )
        except sqlite3.DatabaseError:
            return True  # another layout


def _named(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags under our names; MLflow's filters have no way to write an apostrophe, as in a collection's name."""
    return {f"hnp.{k}": v.replace("'", "’") for k, v in tags.items()}
