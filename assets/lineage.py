"""Which columns a table's columns come from: shown in Dagster beside the table, column by column."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from hnp_pipeline import schemas
from hnp_pipeline.cohort.examples import EXAMPLES
from hnp_pipeline.vocabulary import LEVELS

Sources = Sequence[tuple[str, str]]  # (asset, column)


def of(table: str) -> dict[str, Any]:
    """The metadata of a table in `COLUMNS`."""
    deps = {
        column: [
            dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=name)
            for asset, name in dict.fromkeys(sources)
        ]
        for column, sources in COLUMNS[table].items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


def _same(asset: str, columns: Sequence[str]) -> dict[str, Sources]:
    return {column: [(asset, column)] for column in columns}


_LABELS: Sources = [("readings", level) for level in LEVELS]
_DATES: Sources = [("radiographs", "study_date"), ("readings", "mri_date")]
_MATCHED: Sources = [*_DATES, ("radiographs", "patient_key"), ("readings", "patient_key")]
# What the rules ask, in their order.
_RULES: Sources = [
    *(("radiographs", c) for c in ("patient_key", "missing", "birth_digest", "sex", "sha256", "unreadable")),
    *(("radiographs", c) for c in ("view", "study_date", "under_age")),
    *(("readings", c) for c in ("patient_key", "lumbar", *LEVELS, "mri_date")),
    *(("surgeries", c) for c in ("patient_key", "surgery_date", "lumbar_disc")),
]
_COHORT: dict[str, Sources] = {
    **_same("radiographs", ["image_id", "collection", "patient_key", "hospital", "view", "sex", "age"]),
    "split": [("radiographs", "collection")],
    "fold": [("radiographs", "patient_digest"), *_LABELS],
    "xray_date": [("radiographs", "study_date")],
    "mri_date": _MATCHED,
    "interval_days": _DATES,
    **{level: [("readings", level), *_MATCHED] for level in LEVELS},
    "hnp": [*_LABELS, *_MATCHED],
    "sha256": [("radiographs", "sha256")],
}
_COUNTS = [c.name for c in schemas.COHORT_FLOW if c.name.startswith(("images_", "patients_"))]
_LABELLED: Sources = [("test_set", level) for level in LEVELS]
COLUMNS: Mapping[str, Mapping[str, Sources]] = {
    "cohort": _COHORT,
    "exclusions": {
        **_same("radiographs", ["image_id", "collection", "patient_key"]),
        "reason": _RULES,
        "detail": _RULES,
    },
    "cohort_flow": {
        "split": [("radiographs", "collection")],
        "reason": _RULES,
        **{c: [("radiographs", "image_id"), ("radiographs", "patient_key"), *_RULES] for c in _COUNTS},
    },
    "development_set": _same("cohort", [c.name for c in EXAMPLES]),
    "test_set": _same("cohort", [c.name for c in EXAMPLES]),
    "near_duplicates": {
        "image_id": [("cohort", "image_id")],
        "other_image_id": [("cohort", "image_id")],
        "split": [("cohort", "split")],
        "other_split": [("cohort", "split")],
        "distance": [("cohort", "sha256")],
    },
    "gradcam": {
        "image_id": [("test_set", "image_id")],
        "probability": [("test_set", "sha256")],
        "label": _LABELLED,
        "correct": [("test_set", "sha256"), *_LABELLED],
    },
}
