"""A collection's x-ray rows together with what their pictures are, as files; of any length in little memory."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnp_pipeline import schemas
from hnp_pipeline.imaging.inspection import INSPECTED, inspect_files
from hnp_pipeline.intake.collection import Collection
from hnp_pipeline.intake.withdrawn import forgotten, of_withdrawn
from hnp_pipeline.intake.xrays import with_images, write_xrays
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.study import Intake
from hnp_pipeline.tables import read_kept, replacing, scratch

_BATCH = 131_072  # rows held at once
_NOBODY = schemas.empty(schemas.WITHDRAWN)
NAMES = schemas.schema(
    [
        schemas.Column("image_id", schemas.TEXT, "<collection>/<row>"),
        schemas.Column("file", schemas.TEXT, "as the table names it; private"),
    ]
)


@dataclass(frozen=True)
class RadiographFiles:
    """Where a collection's rows go; all private to the home."""

    rows: Path  # schemas.INTAKE_RADIOGRAPHS
    names: Path  # NAMES: which file each row names
    inspected: Path  # imaging.inspection.INSPECTED: what is known of each file; read, and written anew


@dataclass(frozen=True)
class RadiographCounts:
    """What was found."""

    rows: int
    unreadable: int  # rows whose picture cannot be used
    untyped: int  # rows with a blank or unreadable column


def write_radiographs(
    collection: Collection,
    settings: Intake,
    key: bytes,
    files: RadiographFiles,
    threads: int,
    report: Report = silent,
    withdrawn: pa.Table = _NOBODY,
) -> RadiographCounts:
    """Type every row of the x-ray table, look at every picture it names, write the three files.

    Of patients who withdrew (a table of `WITHDRAWN`) the rows are blank but for what `intake.withdrawn.forgotten`
    leaves, and no file's name is kept.

    Each file is replaced as a whole, and none before all three are written. Pictures of the same size and time of
    change as in the last `files.inspected` are not read again.

    Raises:
        TableError: the table cannot be used.
        StepError: the folder has vanished, or the disk fails.
    """
    known = read_kept(files.inspected)
    rows = unreadable = untyped = 0
    with scratch(files.rows.parent) as private, ExitStack() as stack:
        xrays = private / "xrays.parquet"
        write_xrays(collection, settings, key, xrays)
        total = pq.read_metadata(xrays).num_rows
        write_rows, write_names, write_inspected = (
            _writer(stack, path, schema)
            for path, schema in (
                (files.rows, schemas.schema(schemas.INTAKE_RADIOGRAPHS)),
                (files.names, NAMES),
                (files.inspected, schemas.schema(INSPECTED)),
            )
        )
        for batch in _batches(xrays):
            inspected = inspect_files(
                collection.folder,
                batch["file"],
                _of(known, batch["file"]),
                settings.maximum_pixels,
                threads,
                _part(report, rows, batch.num_rows, total),
            )
            found = with_images(batch, inspected)
            stays = pc.invert(of_withdrawn(batch, withdrawn))
            named = batch.filter(stays)
            write_inspected.write_table(
                inspected.filter(pc.is_in(inspected["file"], named["file"].combine_chunks()))
            )
            write_names.write_table(named.select(NAMES.names).cast(NAMES))
            write_rows.write_table(forgotten(found, withdrawn))
            found = found.filter(stays)
            rows += batch.num_rows
            unreadable += found.num_rows - found["unreadable"].null_count
            untyped += found.num_rows - found["missing"].null_count
    return RadiographCounts(rows, unreadable, untyped)


def _batches(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH):
            yield pa.Table.from_batches([batch])


def _writer(stack: ExitStack, path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    temporary = stack.enter_context(replacing(path))
    return stack.enter_context(pq.ParquetWriter(temporary, schema, compression="zstd"))


def _of(known: pa.Table | None, files: pa.ChunkedArray) -> pa.Table | None:
    return None if known is None else known.filter(pc.is_in(known["file"], value_set=pc.unique(files)))


def _part(report: Report, done: int, batch: int, total: int) -> Report:
    return lambda fraction, _: report(
        (done + fraction * batch) / total, f"{round(done + fraction * batch):,} of {total:,} rows looked at"
    )
