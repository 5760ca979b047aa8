"""A delivery is taken in as a whole: a table that cannot be used stops its collection (design 3)."""

from collections import deque
from pathlib import Path

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.collection import OUR_COLUMNS, Collection, open_collection
from hnp_pipeline.intake.mri_readings import open_readings
from hnp_pipeline.intake.surgeries import open_surgeries
from hnp_pipeline.intake.xrays import open_xrays
from hnp_pipeline.study import Intake

_OPEN = {"xrays": open_xrays, "mri_readings": open_readings, "surgeries": open_surgeries}


def open_delivery(folder: Path, settings: Intake, reads: str) -> Collection:
    """Open a collection for the one who reads its table `reads`, after going through the others to their last row.

    A table without any row is an export that failed, but for surgeries, which nobody need have had.

    So the steps that take in a collection's tables fail together, with the same words, and its last good version
    stays in use as a whole. Otherwise x-rays would be matched without readings, or without surgeries.

    Raises:
        TableError: `collection.toml` or a table cannot be used; of `reads`, only its first rows have been seen.
    """
    collection = open_collection(folder)
    for name, opened in _OPEN.items():
        if table := opened(collection, settings):
            filled = (batch.num_rows > 0 for batch in table.rows(tuple(OUR_COLUMNS)))
            if not any(filled) and name != "surgeries":
                raise TableError(
                    f"{table.where} has a header and not one row: hand in the export again, or leave the table out"
                )
            if name != reads:
                deque(filled, maxlen=0)
    return collection
