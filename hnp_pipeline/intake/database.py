"""The private in-memory database that types raw rows. Nothing of it reaches a disk."""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake import pseudonym


def private_database(key: bytes) -> duckdb.DuckDBPyConnection:
    """A database that knows how to read cells (parsing.sql) and to hide who they are about (pseudonym)."""
    database = duckdb.connect(
        ":memory:",
        # no spilling to disk, no files, nothing loaded from outside
        config={
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    database.execute(sql("parsing"))
    pseudonym.teach(database, key)
    return database


def run(database: duckdb.DuckDBPyConnection, query: str, where: str, **parameters: Any) -> pa.Table:
    """The rows of a query, as Arrow; an empty table from a statement.

    Raises:
        TableError: the query cannot be done; without DuckDB's message, which can quote a cell.
    """
    try:
        found = database.sql(query, params=parameters or None)
        return found.to_arrow_table() if found is not None else pa.table({})
    except duckdb.Error as error:
        problem = f"{where} cannot be read ({type(error).__name__})"
    raise TableError(problem)


@cache
def sql(name: str) -> str:
    """The text of a query that lies beside this file."""
    return Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8")
