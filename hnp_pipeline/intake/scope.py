"""Where a patient's id holds: everywhere, or within a hospital."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.collection import Collection
from hnp_pipeline.intake.raw_table import RawTable, open_table
from hnp_pipeline.study import Intake
from hnp_pipeline.vocabulary import TABLES_IN


def check_hospital(collection: Collection, table: RawTable, name: str, settings: Intake) -> None:
    """Where ids hold within a hospital, a collection's tables must all name it or none: else nobody matches.

    Without the column anywhere, all the collection's patients are of one unnamed hospital.

    Raises:
        TableError: this table lacks the column and another has it.
    """
    if settings.patient_scope == "hospital" and not table.has("hospital"):
        for other in TABLES_IN:
            if other != name and _has_hospital(collection, other):
                raise table.refuse(
                    f"has no column hospital, while table {other} has one and patient_scope is hospital"
                )


def hospitals(collections: Iterable[Collection]) -> pa.Array:
    """Every hospital that the collections' tables name, as delivered; those that cannot be read name none."""
    found: list[pa.Array] = []
    for collection in collections:
        for name in TABLES_IN:
            if _has_hospital(collection, name) and (table := open_table(collection, name)):
                try:
                    found += [pc.unique(batch["hospital"]) for batch in table.rows(["hospital"])]
                except TableError:
                    continue
    return pc.unique(pa.concat_arrays([pa.array([], pa.string()), *found])).drop_null()


def _has_hospital(collection: Collection, name: str) -> bool:
    try:
        table = open_table(collection, name)
        return table is not None and table.has("hospital")
    except TableError:  # it is told where that table itself is read
        return False
