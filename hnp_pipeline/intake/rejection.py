"""Rows of readings and surgeries that cannot be used."""

import duckdb
import pyarrow as pa

from hnp_pipeline.intake.database import run
from hnp_pipeline.schemas import REJECTED_ROWS, schema

_QUERY = """
SELECT collection, $name AS "table", row, problems[1].name AS "column",
    array_to_string([problems[1].found] || [p.name || ': ' || p.found FOR p IN problems[2:]], '; ') AS found
FROM typed WHERE len(problems) > 0 ORDER BY row
"""


def rejected(database: duckdb.DuckDBPyConnection, name: str, where: str) -> pa.Table:
    """`REJECTED_ROWS` of the batch in `typed`: one a row, its first unusable column; `found` adds others."""
    return run(database, _QUERY, where, name=name).cast(schema(REJECTED_ROWS))
