"""Parquet as other pipelines write it: every row with its number, columns of whatever type."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_BATCH = 262_144


def read_parquet(path: Path) -> tuple[list[str], Iterator[pa.Table]]:
    """The names of the columns, and the rows.

    Returns:
        as `csv_file.read_csv`, but for the types of the columns: `cells.as_text` makes them text.

    Raises:
        pa.ArrowException, OSError: the file is broken.
    """
    file = pq.ParquetFile(path)
    return file.schema_arrow.names, _batches(file)


def _batches(file: pq.ParquetFile) -> Iterator[pa.Table]:
    row = 0
    with file:
        for batch in file.iter_batches(_BATCH):
            batch.validate(full=True)  # text that is not UTF-8, lengths beyond the buffer
            numbers = pa.array(range(row + 1, row + 1 + len(batch)), pa.int64())
            names = [f"f{i}" for i in range(batch.num_columns)]
            yield pa.table([numbers, *batch.columns], ["row", *names])
            row += len(batch)
