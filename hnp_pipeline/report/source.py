"""The study's tables as the report reads them: with SQL, a missing table as one of zero rows."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hnp_pipeline import schemas, tables


class Source:
    """Queries over the tables in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, pa.Table] = {}
        self._connection = duckdb.connect()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def table(self, name: str) -> pa.Table:
        """A whole table; zero rows where it has not been written yet."""
        if name not in self._loaded:
            path = self._folder / f"{name}.parquet"
            columns = schemas.TABLES[name][1]
            self._loaded[name] = tables.read_table(path) if path.is_file() else schemas.empty(columns)
            self._connection.register(name, self._loaded[name])
        return self._loaded[name]

    def rows(self, sql: str, *names: str, **values: Any) -> list[dict[str, Any]]:
        """What a query over the tables `names` gives; `$name` in it stands for a value."""
        return self.arrow(sql, *names, **values).to_pylist()

    def arrow(self, sql: str, *names: str, **values: Any) -> pa.Table:
        """The same, in columns."""
        for name in names:
            self.table(name)
        return self._connection.execute(sql, values or None).to_arrow_table()
