"""A warning where ids of two tables would match but for leading zeros that one export dropped."""

from collections.abc import Iterable

import pyarrow as pa

from hnp_pipeline.errors import TableError
from hnp_pipeline.intake.collection import Collection
from hnp_pipeline.intake.database import private_database, run
from hnp_pipeline.intake.raw_table import open_table
from hnp_pipeline.vocabulary import TABLES_IN

_KEEP = """
INSERT INTO ids SELECT $source, patient_id, regexp_replace(patient_id, '^0+|\\.0$', '', 'g')
FROM (SELECT DISTINCT upper(patient_id) AS patient_id FROM raw WHERE patient_id IS NOT NULL)
"""
_COUNT = """
SELECT source, other, count(*) AS patients FROM (
    SELECT a.source, b.source AS other, bare, bool_or(a.id = b.id) AS same
    FROM (SELECT DISTINCT * FROM ids) a JOIN (SELECT DISTINCT * FROM ids) b USING (bare)
    WHERE a.source < b.source GROUP BY ALL
) WHERE NOT same GROUP BY ALL ORDER BY ALL
"""


def leading_zero_warning(collections: Iterable[Collection]) -> str | None:
    """What to tell the user where ids of two tables match only without leading zeros (or a trailing `.0`).

    Reads the ids of all tables of `collections`; tables that cannot be used are passed over. Holds no ids.
    """
    with private_database(b"") as database:
        database.execute("CREATE TABLE ids (source VARCHAR, id VARCHAR, bare VARCHAR)")
        for collection in collections:
            for name in TABLES_IN:
                try:
                    table = open_table(collection, name)
                    for batch in table.rows(["patient_id"]) if table else ():
                        database.register("raw", batch)
                        run(database, _KEEP, name, source=f"{collection.name}/{name}")
                except TableError:
                    continue
        pairs: pa.Table = run(database, _COUNT, "ids")
    if not pairs.num_rows:
        return None
    told = "; ".join(f"{p['patients']:,} of {p['source']} and {p['other']}" for p in pairs.to_pylist())
    return (
        f"patient ids that would match only without leading zeros or a trailing .0: {told}. "
        "Ids are text, so they count as different patients; export both tables with ids as text"
    )
