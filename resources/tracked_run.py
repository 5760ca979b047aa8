"""What is written into one MLflow run: parameters, figures, data sets, files."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as csv

from hnp_pipeline.vocabulary import NOTICE

if TYPE_CHECKING:
    from resources.tracking import Tracking

_SAMPLED = 15  # seconds between two looks at CPU, memory, disk and GPU while a fold trains


@dataclass(frozen=True)
class TrackedRun:
    """One MLflow run."""

    tracking: "Tracking"
    id: str

    @property
    def link(self) -> str:
        """Its address in the MLflow UI."""
        return self.tracking.link(self.id)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While the body runs, CPU, memory, disk and GPU are logged (`system/…`) from a thread that ends with it."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(
            self.id, _SAMPLED, resume_logging=True, tracking_uri=self.tracking.store
        )
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()
        # Looks of an interval that did not end are not logged: a short fold would have none.
        monitor.collect_metrics()
        monitor.publish_metrics(monitor.aggregate_metrics())
        monitor.mlflow_logger.flush()

    def dataset(self, name: str, version: str, rows: int, used_for: str) -> None:
        """Note which data went in: its name, its data version, its size. No path, no name within it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"tags": {"mlflow.source.type": "hnp_pipeline", "mlflow.source.name": name}})
        dataset = Dataset(name, version[:36], "code", source, profile=json.dumps({"num_rows": rows}))
        # a digest has 36 letters at most
        tags = [InputTag("mlflow.data.context", used_for), InputTag("hnp.version", version)]
        self.tracking.client.log_inputs(self.id, [DatasetInput(dataset, tags)])

    def note(self, words: str) -> None:
        """Say something more in the run's description, in place of what was said last; Markdown."""
        said = self.tracking.client.get_run(self.id).data.tags.get("mlflow.note.content", "")
        kept = said.partition(NOTICE)[0] + NOTICE  # with which every description ends at first
        self.tracking.client.set_tag(self.id, "mlflow.note.content", f"{kept} {words}")

    def steps(self, metric: str) -> set[int]:
        """The steps at which a figure stands already: a run that goes on does not log them again."""
        return {m.step for m in self.tracking.client.get_metric_history(self.id, metric)}

    def params(self, values: Mapping[str, Any]) -> None:
        """Log flat parameters; a reopened run keeps those it has."""
        from mlflow.entities import Param

        has = self.tracking.client.get_run(self.id).data.params
        new = [Param(k, str(v)[:500]) for k, v in values.items() if k not in has]
        self.tracking.client.log_batch(self.id, params=new)

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Log figures at a step (an epoch); what cannot be computed is left out."""
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

    def table(self, table: pa.Table, name: str) -> None:
        """Keep a table as CSV, which the MLflow UI shows as one."""
        buffer = pa.BufferOutputStream()
        csv.write_csv(table, buffer)
        self.text(buffer.getvalue().to_pybytes().decode(), f"{name}.csv")

    def picture(self, png: bytes, name: str) -> None:
        """Keep a PNG, which the MLflow UI shows."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            path.write_bytes(png)
            self.artifact(path)
