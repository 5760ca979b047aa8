"""Where everything lies under one folder, `HNP_HOME` (design 5). Names only; nothing is read or written here."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The layout of a home."""

    root: Path

    def table(self, name: str) -> Path:
        """A table of the study: the truth."""
        return self.root / "tables" / f"{name}.parquet"

    @property
    def database(self) -> Path:
        """The same tables to query."""
        return self.root / "hnp.duckdb"

    @property
    def settings(self) -> Path:
        """Settings and raw address of the last run."""
        return self.root / "study.yaml"

    def intake(self, collection: str, name: str) -> Path:
        """A table of one collection's typed rows: private, since it can tell who is who."""
        return self.root / "intake" / collection / f"{name}.parquet"

    def cache(self, collection: str) -> Path:
        """The folder of a collection's image caches, one for each imaging setting."""
        return self.root / "cache" / collection

    def part(self, name: str) -> Path:
        """A table that one step hands to the next and that no reader needs."""
        return self.root / "parts" / f"{name}.parquet"

    def task(self, task: str) -> Path:
        """The folder of a task's models and of its parts of the shared tables."""
        return self.root / "models" / task

    def fold(self, task: str, fold: int) -> Path:
        """The folder of one fold's model, predictions and thresholds."""
        return self.task(task) / f"fold={fold}"

    def gradcam(self, task: str) -> Path:
        """The folder of a task's heat maps."""
        return self.root / "gradcam" / task

    @property
    def report(self) -> Path:
        """The study's report."""
        return self.root / "report" / "index.html"

    @property
    def dagster(self) -> Path:
        """Dagster's own storage: DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def mlflow(self) -> Path:
        """MLflow's own storage."""
        return self.root / "mlflow"

    @property
    def logs(self) -> Path:
        """What the processes of `hnp run` print."""
        return self.root / "logs"
