"""What is true of a phantom, written beside it for tests and for judging results."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hnp_pipeline import tables
from hnp_pipeline.phantom.design import Design
from hnp_pipeline.phantom.labels import Signal, ceilings, own_auc, posterior, sample_auc
from hnp_pipeline.phantom.rows import COHORT, Labels, Xray
from hnp_pipeline.vocabulary import LEVELS, Reason

Places = dict[int, tuple[np.ndarray, np.ndarray]]

_MEANING = {
    "images.parquet": "a row an X-ray row: what is expected of it (cohort, or the reason), the labels and "
    "the MRI date that it must be matched with, the view that was rendered, the middle (x, y) and the box "
    "(width, height) of each disc in pixels of the exported file",
    "visits.parquet": "a row a patient and visit: labels and severities of the five levels",
    "readings.parquet": "a row an MRI reading: what must be made of it",
    "rows": "X-ray rows by collection and what is expected of them; blank rows are not counted. The rows of "
    "the first collection fare the same before the second arrives",
    "variants": "how each reason was planted, in rows; and the rows that stay though they look otherwise",
    "rejected_rows": "rows that cannot be used, by collection, table and column; a surgery of a lumbar disc "
    "without a date is not among them",
    "ceilings": "AUC by level: of the posterior given all five severities (population), of the level's own "
    "severity (own), and the former on the cohort's own patients (development, test). Age leans on the "
    "severities alone (correlation 0.2 with their mean), sex and hospital on nothing: no reader of one visit "
    "does better. Patients whose two visits differ have the labels of the later one",
}


def write_truth(design: Design, signal: Signal, places: Places, folder: Path) -> dict[str, Any]:
    """Write the truth's tables; what is left to say comes back as facts."""
    rows = [
        (f"{collection}/{number}", number, row)
        for collection, xrays in design.xrays.items()
        for number, row in enumerate(xrays, start=1)
        if row is not None
    ]
    tables.write_table(_images(design, rows, places), folder / "images.parquet")
    tables.write_table(_visits(design), folder / "visits.parquet")
    tables.write_table(_readings(design), folder / "readings.parquet")
    return {
        "meaning": _MEANING,
        "cohort_patients": {
            c: len({r.patient_id for _, _, r in rows if r.collection == c and r.expected == COHORT})
            for c in design.xrays
        },
        "rows": {c: _counted(r.expected for _, _, r in rows if r.collection == c) for c in design.xrays},
        "variants": _counted(f"{r.expected}: {r.variant}" for _, _, r in rows if r.variant),
        "rejected_rows": _rejected(design),
        "ceilings": _ceilings(design, signal, [row for _, _, row in rows]),
    }


def _counted(words: Iterable[str]) -> dict[str, int]:
    """Counts in the order of the rules."""
    order = {word: k for k, word in enumerate([COHORT, *Reason])}
    counts = Counter(str(word) for word in words)
    return {word: counts[word] for word in sorted(counts, key=lambda w: (order.get(w.split(":")[0], 0), w))}


def _images(design: Design, rows: list[tuple[str, int, Xray]], places: Places) -> pa.Table:
    discs = np.stack([places[r.picture.number][0] for _, _, r in rows])  # (n, 5, 2)
    sizes = np.stack([places[r.picture.number][1] for _, _, r in rows])
    columns: dict[str, pa.Array] = {
        "image_id": pa.array([image_id for image_id, _, _ in rows]),
        "collection": pa.array([r.collection for _, _, r in rows]),
        "row": pa.array([number for _, number, _ in rows], pa.int64()),
        "patient_id": pa.array([r.picture.patient.patient_id for _, _, r in rows]),
        "file": pa.array(
            [None if r.file is None else design.file_names[r.file] for _, _, r in rows], pa.string()
        ),
        "view": pa.array([r.picture.view for _, _, r in rows]),
        "visit_date": pa.array([r.picture.visit.day for _, _, r in rows], pa.date32()),
        "expected": pa.array([str(r.expected) for _, _, r in rows]),
        "variant": pa.array([r.variant or None for _, _, r in rows], pa.string()),
        "mri_date": pa.array([r.mri_day for _, _, r in rows], pa.date32()),
    }
    columns |= _levels([r.labels for _, _, r in rows])
    for k, level in enumerate(LEVELS):
        columns[f"{level}_x"] = pa.array(discs[:, k, 0])
        columns[f"{level}_y"] = pa.array(discs[:, k, 1])
        columns[f"{level}_width"] = pa.array(sizes[:, k, 0])
        columns[f"{level}_height"] = pa.array(sizes[:, k, 1])
    return pa.table(columns)


def _levels(labels: list[Labels | None]) -> dict[str, pa.Array]:
    return {
        level: pa.array([None if row is None else int(row[k]) for row in labels], pa.int8())
        for k, level in enumerate(LEVELS)
    }


def _visits(design: Design) -> pa.Table:
    visits = [(p, number, v) for p in design.patients for number, v in enumerate(p.visits, start=1)]
    columns: dict[str, pa.Array] = {
        "patient_id": pa.array([p.patient_id for p, _, _ in visits]),
        "collection": pa.array([p.collection for p, _, _ in visits]),
        "visit": pa.array([number for _, number, _ in visits], pa.int32()),
        "sex": pa.array([p.sex for p, _, _ in visits]),
        "birth_date": pa.array([p.birth for p, _, _ in visits], pa.date32()),
        "xray_date": pa.array([v.day for _, _, v in visits], pa.date32()),
        "mri_date": pa.array([v.mri_day for _, _, v in visits], pa.date32()),
    }
    columns |= _levels([v.labels for _, _, v in visits])
    severity = np.stack([v.severity for _, _, v in visits])
    columns |= {f"{level}_severity": pa.array(severity[:, k]) for k, level in enumerate(LEVELS)}
    return pa.table(columns)


def _readings(design: Design) -> pa.Table:
    rows = [
        (number, r) for readings in design.readings.values() for number, r in enumerate(readings, start=1)
    ]
    columns: dict[str, pa.Array] = {
        "collection": pa.array([r.collection for _, r in rows]),
        "row": pa.array([number for number, _ in rows], pa.int64()),
        "patient_id": pa.array([r.patient_id or None for _, r in rows], pa.string()),
        "mri_date": pa.array([r.true_day for _, r in rows], pa.date32()),
        "lumbar": pa.array([r.lumbar for _, r in rows]),
        "rejected": pa.array([r.rejected or None for _, r in rows], pa.string()),
        "language": pa.array([r.language or None for _, r in rows], pa.string()),
        "columns": pa.array([any(r.levels) for _, r in rows]),
        "hedged": pa.array([r.hedged for _, r in rows]),
    }
    return pa.table(columns | _levels([r.labels for _, r in rows]))


def _rejected(design: Design) -> dict[str, int]:
    found = [
        f"{r.collection}/mri_readings/{r.rejected}"
        for rows in design.readings.values()
        for r in rows
        if r.rejected
    ]
    found += [
        f"{r.collection}/surgeries/{r.rejected}"
        for rows in design.surgeries.values()
        for r in rows
        if r.rejected
    ]
    return _counted(found)


def _ceilings(design: Design, signal: Signal, rows: list[Xray]) -> dict[str, dict[str, float | None]]:
    kinds = {"population": ceilings(signal), "own": own_auc(signal)}
    for split, collection in (("development", "first"), ("test", "second")):
        inside = {
            r.picture.patient.number for r in rows if r.collection == collection and r.expected == COHORT
        }
        latest = [p.visits[-1] for p in design.patients if p.number in inside]
        labels, severity = np.stack([v.labels for v in latest]), np.stack([v.severity for v in latest])
        kinds[split] = sample_auc(labels, posterior(signal, severity))
    return {
        kind: {
            level: round(float(v), 4) if np.isfinite(v) else None
            for level, v in zip(LEVELS, values, strict=True)
        }
        for kind, values in kinds.items()
    }
