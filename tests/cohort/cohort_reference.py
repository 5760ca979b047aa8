"""The rules of design 4, plain and slow: loops over dicts, one rule after another. And tables from short dicts."""

import datetime
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hnp_pipeline import schemas, study
from hnp_pipeline.cohort.matching import Sources
from hnp_pipeline.vocabulary import LEVELS, Reason

Row = dict[str, Any]
DAY = datetime.date(2015, 3, 1)


def xray(collection: str = "first", row: int = 1, patient: str | None = "p", **changes: Any) -> Row:
    made = {
        "image_id": f"{collection}/{row}",
        "collection": collection,
        "row": row,
        "patient_key": patient,
        "patient_digest": patient and f"digest of {patient}",
        "birth_digest": None,
        "hospital": None,
        "view": "LAT",
        "view_found": None,
        "study_date": DAY,
        "age": 50.0,
        "under_age": False,
        "sex": None,
        "missing": None if patient else "patient_id: blank",
        "unreadable": None,
        "sha256": f"bytes of {collection}/{row}",
        "width": 10,
        "height": 10,
    }
    assert made.keys() >= changes.keys()
    return made | changes


def reading(
    patient: str = "p",
    mri_date: datetime.date = DAY,
    labels: str = "00010",
    lumbar: bool = True,
    **changes: Any,
) -> Row:
    """`labels`: five of `0`, `1`, `-` (blank)."""
    made = {"collection": "first", "row": 1, "patient_key": patient, "mri_date": mri_date, "lumbar": lumbar}
    levels = {level: None if c == "-" else int(c) for level, c in zip(LEVELS, labels, strict=True)}
    return made | levels | {"label_source": "column", "evidence": None, "uncertain": False} | changes


def surgery(patient: str = "p", surgery_date: datetime.date | None = DAY, lumbar_disc: bool = True) -> Row:
    return {
        "collection": "first",
        "row": 1,
        "patient_key": patient,
        "surgery_date": surgery_date,
        "lumbar_disc": lumbar_disc,
    }


def write_sources(
    folder: Path,
    xrays: list[Row],
    readings: list[Row],
    surgeries: list[Row] | None = None,
    withdrawn: tuple[str, ...] = (),
    roles: dict[str, str] | None = None,
) -> Sources:
    """Intake tables, the x-rays in a file for each collection as the intake leaves them."""

    def write(name: str, rows: list[Row], columns: list[schemas.Column]) -> Path:
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schemas.schema(columns)), path)
        return path

    roles = roles or {"first": "development", "second": "test"}
    by_collection = {c: [r for r in xrays if r["collection"] == c] for c in roles}
    return Sources(
        [write(f"{c}/radiographs", rows, schemas.INTAKE_RADIOGRAPHS) for c, rows in by_collection.items()],
        [write("readings", readings, schemas.INTAKE_READINGS)] if readings else [],
        [write("surgeries", surgeries, schemas.INTAKE_SURGERIES)] if surgeries is not None else [],
        pa.table({"patient_key": pa.array(withdrawn, pa.string())}),
        roles,
    )


def judge(
    xrays: list[Row],
    readings: list[Row],
    surgeries: list[Row] | None,
    withdrawn: tuple[str, ...],
    roles: dict[str, str],
    settings: study.Cohort,
) -> dict[str, tuple[Reason | None, datetime.date | None, tuple[int, ...] | None]]:
    """image_id → (reason, matched MRI date, its labels)."""
    merged = merge_days(readings)
    verdicts: dict[str, tuple[Reason | None, datetime.date | None, tuple[int, ...] | None]] = {}
    kept: list[Row] = []
    for x in xrays:
        reason = own_reason(x, xrays, withdrawn, settings)
        match = None
        if reason is None:
            reason, match = match_reading(x, merged[x["patient_key"]], surgeries or [], settings)
        verdicts[x["image_id"]] = (reason, *(match if match and reason is None else (None, None)))
        if reason is None:
            kept.append(x)

    seen = set()
    for x in sorted(kept, key=lambda x: (x["collection"], x["row"])):
        if (x["patient_key"], x["sha256"]) in seen:
            verdicts[x["image_id"]] = (Reason.DUPLICATE_IMAGE, None, None)
        seen.add((x["patient_key"], x["sha256"]))

    kept = [x for x in kept if verdicts[x["image_id"]][0] is None]
    development = {x["patient_key"] for x in kept if roles[x["collection"]] == "development"}
    for x in kept:
        if roles[x["collection"]] == "test" and x["patient_key"] in development:
            verdicts[x["image_id"]] = (Reason.IN_DEVELOPMENT, None, None)
    return verdicts


def merge_days(readings: list[Row]) -> dict[str, dict[datetime.date, tuple[bool, tuple[int | None, ...]]]]:
    """patient → day → (lumbar, labels)."""
    groups = defaultdict(list)
    for r in readings:
        groups[r["patient_key"], r["mri_date"]].append(r)
    merged: dict[str, dict[datetime.date, tuple[bool, tuple[int | None, ...]]]] = defaultdict(dict)
    for (patient, day), rows in groups.items():
        labels = []
        for level in LEVELS:
            said = {r[level] for r in rows}
            labels.append(1 if 1 in said else 0 if 0 in said else None)
        merged[patient][day] = (any(r["lumbar"] for r in rows), tuple(labels))
    return merged


def own_reason(x: Row, xrays: list[Row], withdrawn: tuple[str, ...], settings: study.Cohort) -> Reason | None:
    def usable(r: Row) -> bool:
        return r["unreadable"] is None and r["sha256"] is not None

    if x["patient_key"] in withdrawn:
        return Reason.WITHDRAWN
    if x["missing"] is not None:
        return Reason.MISSING_DATA
    same_patient = [r for r in xrays if r["patient_key"] == x["patient_key"]]
    for column in ("birth_digest", "sex"):
        if len({r[column] for r in same_patient} - {None}) > 1:
            return Reason.IDENTITY_CONFLICT
    if usable(x):
        holders = {r["patient_key"] for r in xrays if usable(r) and r["sha256"] == x["sha256"]} - {None}
        if len(holders) > 1:
            return Reason.IDENTITY_CONFLICT
    if not usable(x):
        return Reason.UNREADABLE_IMAGE
    if x["view"] is None:
        return Reason.UNKNOWN_VIEW
    if x["study_date"] < settings.study_start or x["study_date"] > settings.study_end:
        return Reason.OUTSIDE_STUDY_PERIOD
    return Reason.UNDER_AGE if x["under_age"] else None


def match_reading(
    x: Row,
    days: dict[datetime.date, tuple[bool, tuple[int | None, ...]]],
    surgeries: list[Row],
    settings: study.Cohort,
) -> tuple[Reason | None, tuple[datetime.date, tuple[int, ...]] | None]:
    if not days:
        return Reason.NO_MRI_READING, None
    lumbar = {day: labels for day, (is_lumbar, labels) in days.items() if is_lumbar}
    if not lumbar:
        return Reason.NON_LUMBAR_READING, None
    labelled = {day: labels for day, labels in lumbar.items() if None not in labels}
    if not labelled:
        return Reason.UNLABELLED_READING, None
    near = [day for day in labelled if abs((day - x["study_date"]).days) <= settings.interval_days]
    if not near:
        return Reason.OUTSIDE_INTERVAL, None
    free = [day for day in near if not operated(x["patient_key"], x["study_date"], day, surgeries)]
    if not free:
        return Reason.SURGERY_BETWEEN, None
    distance = min(abs((day - x["study_date"]).days) for day in free)
    best = max(day for day in free if abs((day - x["study_date"]).days) == distance)
    return None, (best, labelled[best])  # type: ignore[return-value]


def operated(patient: str, one: datetime.date, other: datetime.date, surgeries: list[Row]) -> bool:
    for s in surgeries:
        if s["patient_key"] == patient and s["lumbar_disc"]:
            if s["surgery_date"] is None:
                return True
            if one <= s["surgery_date"] <= other or other <= s["surgery_date"] <= one:
                return True
    return False


def count_flow(
    xrays: list[Row], reasons: dict[str, Reason | None], roles: dict[str, str], surgeries_given: bool
) -> list[Row]:
    """COHORT_FLOW by taking the images away one rule after another."""
    rows = []
    for split in ("development", "test"):
        left = [x for x in xrays if roles[x["collection"]] == split]
        patients = {x["patient_key"] for x in left} - {None}
        rows.append(_step(split, 0, None, 0, 0, len(left), len(patients)))
        for step, reason in enumerate(Reason, 1):
            out = Counter(reasons[x["image_id"]] == reason for x in left)[True]
            left = [x for x in left if reasons[x["image_id"]] != reason]
            gone = len(patients) - len(patients := {x["patient_key"] for x in left} - {None})
            if reason == Reason.SURGERY_BETWEEN and not surgeries_given:
                out = gone = None
            rows.append(_step(split, step, reason.value, out, gone, len(left), len(patients)))
    return rows


def _step(*values: Any) -> Row:
    return dict(zip((c.name for c in schemas.COHORT_FLOW), values, strict=True))
