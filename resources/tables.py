"""Tables as assets see them: written whole, read back, and described in Dagster's terms."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from hnp_pipeline import schemas
from hnp_pipeline.home import Home
from hnp_pipeline.tables import read_table, write_table

_PREVIEW_ROWS = 8
# A preview stands in Dagster's event log, which outlives the table: it shows no free text.
_NOT_PREVIEWED = {"evidence", "patient_digest", "birth_digest", "detail", "missing", "found"}


@dataclass(frozen=True)
class Tables:
    """The tables of a home."""

    home: Home

    def read(self, path: Path, columns: list[str] | None = None) -> pa.Table:
        """The table at `path`."""
        return read_table(path, columns)

    def write(self, table: pa.Table, path: Path) -> dict[str, Any]:
        """Write `table` to `path`, whole or not at all; returns its metadata for Dagster."""
        write_table(table, path)
        return describe(table)

    def write_shared(self, name: str, parts: list[Path]) -> int:
        """Assemble a shared table from the parts that exist, in the schema of its name; returns its rows."""
        _, columns = schemas.TABLES[name]
        schema = schemas.schema(columns)
        found = [read_table(p, schema.names).cast(schema) for p in parts if p.exists()]
        table = pa.concat_tables([schema.empty_table(), *found]).replace_schema_metadata(None)
        write_table(table, self.home.table(name))
        return table.num_rows

    def describe_file(self, name: str) -> dict[str, Any]:
        """Metadata of a shared table on disk, without reading more than its first rows."""
        schema = schemas.schema(schemas.TABLES[name][1])
        file = pq.ParquetFile(self.home.table(name))
        head = next(file.iter_batches(_PREVIEW_ROWS), None)
        table = schema.empty_table() if head is None else pa.Table.from_batches([head]).cast(schema)
        return describe(table) | {"dagster/row_count": file.metadata.num_rows}


def describe(table: pa.Table) -> dict[str, Any]:
    """Row count, columns and a preview, as Dagster metadata."""
    shown = table.slice(0, _PREVIEW_ROWS).select([c for c in table.column_names if c not in _NOT_PREVIEWED])
    return {
        "dagster/row_count": table.num_rows,
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    f.name,
                    str(f.type),
                    description=(f.metadata or {}).get(b"description", b"").decode() or None,
                )
                for f in table.schema
            ]
        ),
        "preview": dg.MetadataValue.md(markdown(shown)),
    }


def markdown(table: pa.Table) -> str:
    """A small table as Markdown; text from data cannot break out of its cell."""

    def cell(value: Any) -> str:
        text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
        return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")[:40]

    columns = [[cell(v) for v in column.to_pylist()] for column in table.columns]
    lines = [table.column_names, ["---"] * table.num_columns, *zip(*columns, strict=True)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
