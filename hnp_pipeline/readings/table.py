"""Labels for any table of report texts: the command `hnp readings`."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.errors import SettingsError, TableError
from hnp_pipeline.intake.broken import BrokenFileError
from hnp_pipeline.intake.cells import as_text, is_blank, without_errors
from hnp_pipeline.intake.csv_file import decodes, read_csv
from hnp_pipeline.intake.parquet_file import read_parquet
from hnp_pipeline.intake.xlsx_file import read_xlsx
from hnp_pipeline.readings.rows import label_readings
from hnp_pipeline.study import Readings


def label_table(path: Path, text_column: str | None, settings: Readings) -> pa.Table:
    """Label every row of a table.

    Args:
        path: a .csv (UTF-8 with or without a byte-order mark, else CP949), .xlsx or .parquet file.
        text_column: the column of the texts; None: `reading`.
        settings: how texts are read.

    Returns:
        the table's other columns as text, then the five levels, `uncertain`, `evidence`; a row for each row that is not
        blank, in their order. Columns that have these names already are left out.

    Raises:
        SettingsError: no such file, or not one of the three kinds.
        TableError: the file cannot be read, or has no such column.
    """
    if not path.is_file():
        raise SettingsError(f"there is no file {path}")
    if path.suffix.lower() not in (".csv", ".xlsx", ".parquet"):
        raise SettingsError(f"{path.name}: only .csv, .xlsx and .parquet files can be labelled")
    name = text_column or "reading"
    try:
        header, batches = _opened(path)
        at = _position(header, name, path)
        rows = _rows(batches, len(header))
    except BrokenFileError as error:
        raise TableError(f"{path.name} {error}") from None
    except TableError:
        raise
    except Exception as error:
        raise TableError(
            f"{path.name} cannot be read: broken or of another format ({type(error).__name__})"
        ) from None
    labels = label_readings(without_errors(rows[f"f{at}"]), settings)
    kept = [i for i, column in enumerate(header) if i != at and column not in labels.column_names]
    return pa.table(
        [*(rows[f"f{i}"] for i in kept), *labels.columns],
        [*(header[i] for i in kept), *labels.column_names],
    )


def _opened(path: Path) -> tuple[list[str], Iterator[pa.Table]]:
    match path.suffix.lower():
        case ".csv":
            korean = not decodes(path, "utf-8") and decodes(path, "cp949")
            return read_csv(path, "cp949" if korean else "utf-8")
        case ".xlsx":
            return read_xlsx(path)
        case _:
            return read_parquet(path)


def _position(header: list[str], name: str, path: Path) -> int:
    """Where the column stands: spelt exactly so, else but for case and spaces around it."""
    exact = [i for i, column in enumerate(header) if column == name]
    alike = [i for i, column in enumerate(header) if column.strip().casefold() == name.strip().casefold()]
    found = exact or alike
    if len(found) == 1:
        return found[0]
    problem = f"has column {name} {len(found)} times" if found else f"has no column {name}"
    raise TableError(f"{path.name} {problem} (name the texts' column with --text); {_told(header)}")


def _told(header: list[str]) -> str:
    names = [" ".join(column.split()) for column in header if column.strip()]
    if any(len(name) > 40 or any(c.isdigit() for c in name) for name in names):  # may be a patient's row
        return f"its first row ({len(names)} fields) does not look like a header"
    return f"columns found: {', '.join(names[:30])}"


def _rows(batches: Iterator[pa.Table], width: int) -> pa.Table:
    """All rows that are not blank, as text."""
    names = [f"f{i}" for i in range(width)]
    parts = [pa.schema([(name, pa.string()) for name in names]).empty_table()]
    for batch in batches:
        cells = [_shown(batch[name].combine_chunks()) for name in names]
        blank = pa.repeat(pa.scalar(True), len(batch))
        for column in cells:
            blank = pc.and_(blank, is_blank(column))
        parts.append(pa.table([c.cast(pa.string()) for c in cells], names).filter(pc.invert(blank)))
    return pa.concat_tables(parts)


def _shown(cells: pa.Array) -> pa.Array:
    """Cells as text; those that hold more than one value (a list, say) as Python shows them."""
    try:
        return as_text(cells)
    except pa.ArrowException:
        return pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())
