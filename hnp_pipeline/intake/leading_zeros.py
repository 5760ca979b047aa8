"""A warning where ids of two tables would match but for leading zeros (or a trailing .0) that one export added or lost.

Pseudonyms tell: intake keeps for such an id the pseudonym that it would have as a number (`bare_key`).
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from hnp_pipeline.tables import require_table

_KEEP = """
INSERT INTO people
SELECT DISTINCT $source, patient_key, coalesce(bare_key, patient_key) FROM rows WHERE patient_key IS NOT NULL
"""
# Most ids have no zeros to lose: only those that another table spells otherwise are looked at in full.
_COUNT = """
SELECT source, other, count(*) AS patients FROM (
    SELECT a.source, b.source AS other, bare, bool_or(a.key = b.key) AS same
    FROM people a JOIN people b USING (bare)
    WHERE a.source < b.source AND bare IN (SELECT bare FROM people WHERE key <> bare)
    GROUP BY ALL
) WHERE NOT same GROUP BY ALL ORDER BY ALL
"""


def leading_zero_warning(sources: Mapping[str, Path | pa.Table]) -> str | None:
    """What to tell the user where patients of two tables match only without leading zeros or a trailing `.0`.

    Args:
        sources: what to call each table → its typed rows (with `patient_key` and `bare_key`), or their Parquet file.
    """
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as db:
        db.execute("CREATE TABLE people (source VARCHAR, key VARCHAR, bare VARCHAR)")
        for source, rows in sources.items():
            if isinstance(rows, Path):
                require_table(rows)
                db.read_parquet(str(rows), hive_partitioning=False).create_view("rows", replace=True)
            else:
                db.register("rows", rows)
            db.execute(_KEEP, {"source": source})
            db.execute("DROP VIEW rows")
        pairs = db.sql(_COUNT).fetchall()
    if not pairs:
        return None
    told = "; ".join(f"{patients:,} of {source} and {other}" for source, other, patients in pairs)
    return (
        f"patient ids that would match only without leading zeros or a trailing .0: {told}. "
        "Ids are text, so they count as different patients; export both tables with ids as text"
    )
