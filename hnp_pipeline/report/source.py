"""The study's tables as the report reads them: with SQL, a missing table as one of zero rows."""

import csv
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import dataset

from hnp_pipeline import schemas
from hnp_pipeline.tables import require_table


class Source:
    """Queries over the tables in one folder. A query reads only the columns that it names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, dataset.Dataset] = {}
        self._connection = duckdb.connect()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def table(self, name: str) -> pa.Table:
        """A whole table; zero rows where it has not been written yet."""
        return self._open(name).to_table()

    def rows(self, sql: str, *names: str, **values: Any) -> list[dict[str, Any]]:
        """What a query over the tables `names` gives; `$name` in it stands for a value."""
        return self.arrow(sql, *names, **values).to_pylist()

    def arrow(self, sql: str, *names: str, **values: Any) -> pa.Table:
        """The same, in columns."""
        for name in names:
            self._open(name)
        return self._connection.sql(sql, params=values or None).to_arrow_table()

    def _open(self, name: str) -> dataset.Dataset:
        if name not in self._opened:
            path = self._folder / f"{name}.parquet"
            if path.is_file():
                require_table(path)
            columns = schemas.TABLES[name][1]
            self._opened[name] = dataset.dataset(path if path.is_file() else schemas.empty(columns))
            self._connection.register(name, self._opened[name])
        return self._opened[name]


def shipped(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file that travels with this package; lines that begin with # are comments."""
    text = (resources.files("hnp_pipeline.report") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
