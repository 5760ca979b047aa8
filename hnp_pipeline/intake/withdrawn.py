"""Patients who withdrew: `<raw>/withdrawn.csv` (or .xlsx, .parquet) with patient_id, optionally hospital."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.errors import SettingsError, TableError
from hnp_pipeline.intake.collection import find_collections, find_table
from hnp_pipeline.intake.csv_file import decodes
from hnp_pipeline.intake.database import private_database, run
from hnp_pipeline.intake.raw_table import RawTable
from hnp_pipeline.intake.scope import hospitals
from hnp_pipeline.schemas import WITHDRAWN, schema
from hnp_pipeline.study import Intake

_QUERY = """
SELECT keyed(person) AS patient_key, bare_key(person, bare_person) AS bare_key FROM (
    SELECT DISTINCT
        person($scope, hospital, upper(patient_id)) AS person,
        person($scope, hospital, bare(upper(patient_id))) AS bare_person
    FROM (
        SELECT patient_id, hospital FROM named WHERE $scope = 'study' OR hospital IS NOT NULL
        UNION ALL
        SELECT patient_id, known.hospital FROM named, known WHERE $scope = 'hospital' AND named.hospital IS NULL
    )
) ORDER BY patient_key
"""


def read_withdrawn(
    raw: Path, settings: Intake, key: bytes, known_hospitals: Iterable[str | None] = ()
) -> pa.Table:
    """The pseudonyms of the patients who withdrew; none if there is no such table.

    Where an id is one person everywhere (`patient_scope: study`), the hospital says nothing. Where it holds
    within a hospital, a row without one withdraws the id in every hospital: those that the collections name
    now, the unnamed one, and `known_hospitals` (of collections that came earlier and cannot be read now).

    A CSV file may be in UTF-8 or CP949; it has no collection.toml to say so.

    Returns:
        a table of `WITHDRAWN`.

    Raises:
        TableError: the table cannot be used, or a row names no patient: a withdrawal is never passed over.
    """
    where = "table withdrawn"
    path = find_table(raw, "withdrawn", where)
    if path is None:
        return schema(WITHDRAWN).empty_table()
    table = RawTable(
        path, where, "utf-8" if path.suffix.lower() != ".csv" or decodes(path, "utf-8") else "cp949"
    )
    table.require(["patient_id"])
    named = pa.concat_tables([_nobody(), *table.rows(["patient_id", "hospital"])])
    if named["patient_id"].null_count:
        row = named.filter(pc.is_null(named["patient_id"]))["row"][0]
        raise TableError(f"{table.where}: row {row} names no patient_id; complete or remove it")
    everywhere: list[str | None] = [None]
    if settings.patient_scope == "hospital" and named["hospital"].null_count:
        everywhere += [*_named(raw), *known_hospitals]
    with private_database(key) as database:
        database.register("named", named)
        database.register("known", pa.table({"hospital": pa.array(everywhere, pa.string())}))
        return run(database, _QUERY, where, scope=settings.patient_scope).cast(schema(WITHDRAWN))


def forgotten(rows: pa.Table, withdrawn: pa.Table) -> pa.Table:
    """Typed rows without those of patients who withdrew; an x-ray row stays, since every row is accounted for.

    Of such an x-ray row there is left its number, the patient's pseudonym, which excludes it, and the hash of its
    picture: the same picture under another patient stays an identity conflict, as it may show who withdrew.

    Args:
        rows: typed rows of x-rays, readings or surgeries.
        withdrawn: a table of `WITHDRAWN`.
    """
    gone = of_withdrawn(rows, withdrawn)
    if "image_id" not in rows.column_names:
        return rows.filter(pc.invert(gone))
    blank = {c: pa.scalar(None, rows.schema.field(c).type) for c in rows.column_names if c not in _KEPT}
    columns = [pc.if_else(gone, blank[c], rows[c]) if c in blank else rows[c] for c in rows.column_names]
    return pa.table(columns, schema=rows.schema)


def of_withdrawn(rows: pa.Table, withdrawn: pa.Table) -> pa.ChunkedArray:
    """Which rows (bool) are of patients who withdrew; a row of no patient is not."""
    return pc.is_in(rows["patient_key"], withdrawn["patient_key"].drop_null().combine_chunks())


_KEPT = {"image_id", "collection", "row", "patient_key", "sha256"}


def _named(raw: Path) -> list[str]:
    try:
        return hospitals(find_collections(raw)).to_pylist()
    except SettingsError:  # no collection now
        return []


def _nobody() -> pa.Table:
    return pa.table(
        {
            "row": pa.array([], pa.int64()),
            "patient_id": pa.array([], pa.string()),
            "hospital": pa.array([], pa.string()),
        }
    )
