"""The table of MRI readings: typed rows, and the rows that cannot be used."""

import pyarrow as pa

from hnp_pipeline.intake.collection import Collection
from hnp_pipeline.intake.database import private_database, run, sql
from hnp_pipeline.intake.raw_table import RawTable, open_table
from hnp_pipeline.intake.rejection import rejected
from hnp_pipeline.intake.scope import check_hospital
from hnp_pipeline.schemas import INTAKE_READINGS, REJECTED_ROWS, TEXT, Column, schema
from hnp_pipeline.study import Intake
from hnp_pipeline.vocabulary import LEVELS

_NOT_YET = ("label_source", "evidence", "uncertain")
# What read_mri_readings gives: INTAKE_READINGS before the texts were labelled, and the texts.
MRI_READINGS = [
    *(c for c in INTAKE_READINGS if c.name not in _NOT_YET),
    Column("reading", TEXT, "the report; private"),
]


# One of these spellings, as_words all, standing in a body part as whole words. No spelling, no match.
_PATTERN = """
SELECT coalesce('(^| )(' || string_agg(as_words(part), '|' ORDER BY part) || ')( |$)', '$.') AS pattern
FROM listed WHERE as_words(part) <> ''
"""


def open_readings(collection: Collection, settings: Intake) -> RawTable | None:
    """The table, with the columns that it must have; None if there is no such table.

    Raises:
        TableError: it cannot be used; without `reading` all five level columns must be there.
    """
    table = open_table(collection, "mri_readings")
    if table is not None:
        table.require(("patient_id", "mri_date", "body_part"))
        if not table.has("reading"):
            if not any(map(table.has, LEVELS)):
                raise table.refuse(f"has neither the columns {', '.join(LEVELS)} nor column reading")
            table.require(LEVELS)
        check_hospital(collection, table, "mri_readings", settings)
    return table


def read_mri_readings(collection: Collection, settings: Intake, key: bytes) -> tuple[pa.Table, pa.Table]:
    """The readings that can be used, and those that cannot (no patient, no date, a label not 0, 1 or blank).

    A body part is lumbar if one of the settings' spellings stands in it as whole words (`MRI L-SPINE`,
    `요추 MRI`); thoracolumbar (`T-L SPINE`) is not, unless the settings list it.

    Returns:
        a table of `MRI_READINGS`, and one of `REJECTED_ROWS` with one row for each reading left out, both by
        row; none if there is no such table.

    Raises:
        TableError: as `open_readings`, or on the way.
    """
    usable, left_out = [schema(MRI_READINGS).empty_table()], [schema(REJECTED_ROWS).empty_table()]
    if table := open_readings(collection, settings):
        with private_database(key) as database:
            database.register("listed", pa.table({"part": pa.array(settings.lumbar_body_parts, pa.string())}))
            lumbar = run(database, _PATTERN, table.where)["pattern"][0].as_py()
            for batch in table.rows(("patient_id", "hospital", "mri_date", "body_part", *LEVELS, "reading")):
                database.register("raw", batch)
                run(database, sql("mri_readings"), table.where,
                    collection=collection.name, scope=settings.patient_scope, lumbar=lumbar)  # fmt: skip
                names = ", ".join(c.name for c in MRI_READINGS)
                query = f"SELECT {names} FROM typed WHERE len(problems) = 0 ORDER BY row"
                usable.append(run(database, query, table.where).cast(schema(MRI_READINGS)))
                left_out.append(rejected(database, "mri_readings", table.where))
    return pa.concat_tables(usable).sort_by("row"), pa.concat_tables(left_out).sort_by("row")
