"""Tables as assets see them: written whole, read back, and described in Dagster's terms."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnp_pipeline import schemas
from hnp_pipeline.home import Home
from hnp_pipeline.intake.withdrawn import of_withdrawn
from hnp_pipeline.tables import batches, read_table, replacing, write_table

_PREVIEW_ROWS = 8
_BATCH_ROWS = 65_536
# A preview stands in Dagster's event log, which outlives the table: it shows no free text.
# And nothing by which a row can be found again: who withdraws is to be gone.
_NOT_PREVIEWED = {
    "evidence", "patient_digest", "birth_digest", "detail", "missing", "found", "bare_key",
    "patient_key", "image_id", "other_image_id", "row", "sha256",
}  # fmt: skip


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

    def write_shared(self, name: str, parts: list[Path], withdrawn: pa.Table | None = None) -> int:
        """Assemble a shared table from the parts that exist, in the schema of its name; returns its rows.

        A row of a patient who withdrew (a table of `WITHDRAWN`) stays a row, of nobody.
        """
        _, columns = schemas.TABLES[name]
        schema = schemas.schema(columns)
        rows = 0
        with (
            replacing(self.home.table(name)) as temporary,
            pq.ParquetWriter(temporary, schema.remove_metadata(), compression="zstd") as writer,
        ):
            for part in parts:
                if part.exists():
                    for batch in batches(part, _BATCH_ROWS, schema.names):
                        table = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
                        table = table if withdrawn is None else _of_nobody(table, withdrawn)
                        writer.write_table(table.replace_schema_metadata(None))
                        rows += table.num_rows
        return rows

    def withdrawn(self) -> pa.Table:
        """Who withdrew (`WITHDRAWN`); nobody until the asset of that name was made, which the planner makes first."""
        path = self.home.part("withdrawn")
        return read_table(path) if path.exists() else schemas.empty(schemas.WITHDRAWN)

    def describe_file(self, path: Path, columns: list[schemas.Column]) -> dict[str, Any]:
        """Metadata of a table on disk, without reading more than its first rows."""
        schema = schemas.schema(columns)
        with pq.ParquetFile(path) as file:
            head = next(file.iter_batches(_PREVIEW_ROWS), None)
            table = schema.empty_table() if head is None else pa.Table.from_batches([head]).cast(schema)
            return describe(table) | {"dagster/row_count": file.metadata.num_rows}


def _of_nobody(table: pa.Table, withdrawn: pa.Table) -> pa.Table:
    gone = of_withdrawn(table, withdrawn)
    for name in ("patient_key", "sha256"):
        if name in table.column_names:
            at, nothing = table.schema.get_field_index(name), pa.scalar(None, pa.string())
            table = table.set_column(at, table.schema.field(at), pc.if_else(gone, nothing, table[name]))
    return table


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
    """A small table as Markdown; text from data cannot break out of its cell, nor become a link or a picture."""
    from hnp_pipeline.report.markdown import text

    def cell(value: Any) -> str:
        if value is None or isinstance(value, float):
            return "" if value is None else f"{value:.4g}"
        return text(str(value)[:40])

    columns = [[cell(v) for v in column.to_pylist()] for column in table.columns]
    lines = [table.column_names, ["---"] * table.num_columns, *zip(*columns, strict=True)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
