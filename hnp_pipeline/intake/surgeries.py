"""The table of surgeries: typed rows, and the rows that cannot be used. It may be absent."""

import pyarrow as pa

from hnp_pipeline.intake.collection import Collection
from hnp_pipeline.intake.database import private_database, run, sql
from hnp_pipeline.intake.raw_table import RawTable, open_table
from hnp_pipeline.intake.rejection import rejected
from hnp_pipeline.intake.scope import check_hospital
from hnp_pipeline.schemas import INTAKE_SURGERIES, REJECTED_ROWS, schema
from hnp_pipeline.study import Intake


def has_surgeries(collection: Collection) -> bool:
    """Was the table delivered? Where it was not, no patient can be excluded for a surgery.

    Raises:
        TableError: as `Collection.table`.
    """
    return collection.table("surgeries") is not None


def open_surgeries(collection: Collection, settings: Intake) -> RawTable | None:
    """The table, with the columns that it must have; None if there is no such table.

    Raises:
        TableError: it cannot be used.
    """
    table = open_table(collection, "surgeries")
    if table is not None:
        table.require(("patient_id", "surgery_date", "site"))
        check_hospital(collection, table, "surgeries", settings)
    return table


def read_surgeries(collection: Collection, settings: Intake, key: bytes) -> tuple[pa.Table, pa.Table]:
    """The surgeries of known patients, and the rows that cannot be used.

    A surgery without a readable date is in both: it counts as lying between any two days (design 3).

    Returns:
        a table of `INTAKE_SURGERIES`, and one of `REJECTED_ROWS`, both by row; none if there is no table.

    Raises:
        TableError: the table cannot be used.
    """
    usable, left_out = [schema(INTAKE_SURGERIES).empty_table()], [schema(REJECTED_ROWS).empty_table()]
    if table := open_surgeries(collection, settings):
        with private_database(key) as database:
            listed = pa.table({"site": pa.array(settings.lumbar_disc_sites, pa.string())})
            database.register("listed", listed)
            sites = run(database, "SELECT as_words(site) AS site FROM listed", table.where)[
                "site"
            ].to_pylist()
            for batch in table.rows(("patient_id", "hospital", "surgery_date", "site")):
                database.register("raw", batch)
                run(database, sql("surgeries"), table.where,
                    collection=collection.name, scope=settings.patient_scope, sites=sites)  # fmt: skip
                names = ", ".join(c.name for c in INTAKE_SURGERIES)
                query = f"SELECT {names} FROM typed WHERE patient_key IS NOT NULL ORDER BY row"
                usable.append(run(database, query, table.where).cast(schema(INTAKE_SURGERIES)))
                left_out.append(rejected(database, "surgeries", table.where))
    return pa.concat_tables(usable).sort_by("row"), pa.concat_tables(left_out).sort_by("row")
