"""The x-ray table: one typed row an image, what could not be read, what inspection found of the images."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.collection import Collection
from hnp_pipeline.intake.database import private_database, run, sql
from hnp_pipeline.intake.raw_table import RawTable, open_table
from hnp_pipeline.intake.scope import check_hospital
from hnp_pipeline.schemas import INTAKE_RADIOGRAPHS, TEXT, Column, schema
from hnp_pipeline.study import Intake
from hnp_pipeline.tables import replacing, sort_file
from hnp_pipeline.vocabulary import VIEWS

_FILE = Column("file", TEXT, "image file, relative to the collection's folder; private")
_INSPECTED = ("unreadable", "sha256", "width", "height")
# What read_xrays gives: INTAKE_RADIOGRAPHS before the images were looked at, and their names.
XRAYS = [*(c for c in INTAKE_RADIOGRAPHS if c.name not in _INSPECTED), _FILE]


def open_xrays(collection: Collection, settings: Intake) -> RawTable | None:
    """The table, with the columns that it must have; None if there is no such table.

    Raises:
        TableError: it cannot be used, or collection.toml maps a view twice.
    """
    table = open_table(collection, "xrays")
    if table is not None:
        table.require(("patient_id", "study_date", "view", "file"))
        if not table.has("birth_date") and not table.has("age"):
            raise table.refuse("has neither column birth_date nor age")
        check_hospital(collection, table, "xrays", settings)
        _view_names(collection)
    return table


def read_xrays(collection: Collection, settings: Intake, key: bytes) -> pa.Table:
    """One row for each row of the x-ray table that is not blank, by row; none if there is no such table.

    What stands there but cannot be read is null, and `missing` says by its shape what it was. Age comes from
    birth_date where that can be read, else from age; from a birth date it is the completed years and the
    fraction of the current one, to two decimals so that the day of birth does not follow from it. An
    unreadable birth date beside a readable age is no loss.

    Returns:
        a table of `XRAYS`.

    Raises:
        TableError: the table cannot be used.
    """
    table = pa.concat_tables([schema(XRAYS).empty_table(), *_batches(collection, settings, key)])
    in_order = np.all(np.diff(table["row"].to_numpy()) > 0)
    return table if in_order else table.sort_by("row")


def write_xrays(collection: Collection, settings: Intake, key: bytes, path: Path) -> None:
    """`read_xrays` straight to a Parquet file, for tables that do not fit in memory.

    Raises:
        TableError: the table cannot be used; then `path` stays as it was.
    """
    last, in_order = 0, True
    with replacing(path) as temporary:
        with pq.ParquetWriter(temporary, schema(XRAYS), compression="zstd") as writer:
            for batch in _batches(collection, settings, key):
                numbers = batch["row"].to_numpy()
                in_order &= bool(np.all(np.diff(numbers, prepend=last) > 0))
                last = int(numbers[-1]) if len(numbers) else last
                writer.write_table(batch)
        if not in_order:  # a row with fewer fields than the header comes after its batch
            sort_file(temporary, "row")


def with_images(xrays: pa.Table, inspected: pa.Table) -> pa.Table:
    """The rows of `read_xrays` with what inspection found of their images, and without the names of files.

    Args:
        xrays: a table of `XRAYS`, or a batch of one.
        inspected: file, sha256, width, height, unreadable; one row a file.

    Returns:
        a table of `INTAKE_RADIOGRAPHS`, in the order of `xrays`; nothing found where a row has no file.
    """
    at = pc.index_in(xrays["file"], inspected["file"])
    found = {name: inspected[name].take(at) for name in _INSPECTED}
    columns = {c.name: found[c.name] if c.name in found else xrays[c.name] for c in INTAKE_RADIOGRAPHS}
    return pa.table(columns).cast(schema(INTAKE_RADIOGRAPHS))


def _batches(collection: Collection, settings: Intake, key: bytes) -> Iterator[pa.Table]:
    table = open_xrays(collection, settings)
    if table is None:
        return
    wanted = ("patient_id", "hospital", "study_date", "birth_date", "age", "sex", "view", "file")
    with private_database(key) as database:
        database.register("view_names", _view_names(collection))
        for batch in table.rows(wanted):
            database.register("raw", batch)
            yield run(
                database,
                sql("xrays"),
                table.where,
                collection=collection.name,
                scope=settings.patient_scope,
                minimum_age=settings.minimum_age,
                views=list(VIEWS),
            ).cast(schema(XRAYS))


def _view_names(collection: Collection) -> pa.Table:
    """The collection's mapping of views, in the spelling that xrays.sql compares in."""
    names: dict[str, str] = {}
    for theirs, ours in collection.views.items():
        spelling = " ".join(unicodedata.normalize("NFKC", theirs).lower().split())
        if names.setdefault(spelling, ours) != ours:
            raise TableError(
                f"collection {collection.name}, collection.toml: views names {theirs} twice, differently"
            )
    return pa.table(
        {"theirs": pa.array(names.keys(), pa.string()), "ours": pa.array(names.values(), pa.string())}
    )
