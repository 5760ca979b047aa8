"""Design 4's rules read off the raw tables, row by row, as plainly as they can be written."""

import csv
import hashlib
import re
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

from PIL import Image

VIEWS = {"AP", "LAT", "LO", "RO", "FLEX", "EXT"}
LEVELS = ["l1_2", "l2_3", "l3_4", "l4_5", "l5_s1"]
NOT_LUMBAR = {"C-SPINE", "BRAIN", "T-SPINE", "KNEE"}


def day(text):
    match = re.match(r"^(\d{4})[-./]?(\d{2})[-./]?(\d{2})(?:[ T]\d\d:\d\d(?::\d\d)?)?$", text.strip())
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def usable_image(folder, file):
    path = folder / file
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        numbered = enumerate(csv.DictReader(file), 1)
        return [(n, row) for n, row in numbered if any(v.strip() for v in row.values())]


def eighteen(birth):
    return birth.replace(year=birth.year + 18)


def judge(raw: Path, text_labels, collections=("first", "second")):
    """What becomes of each X-ray row: {image_id: (outcome, labels, mri_date)}.

    `text_labels(collection, row)` gives the labels of a reading that has only a text, or None.
    """
    withdrawn = {row["patient_id"] for _, row in rows(raw / "withdrawn.csv")}
    xrays, readings, surgeries = [], defaultdict(list), defaultdict(list)
    for c in collections:
        for n, row in rows(raw / c / "xrays.csv"):
            sha = usable_image(raw / c, row["file"]) if row["file"] else None
            xrays.append(row | {"id": f"{c}/{n}", "c": c, "n": n, "birth": day(row["birth_date"]),
                                "day": day(row["study_date"]), "sha": sha})  # fmt: skip
        for n, row in rows(raw / c / "mri_readings.csv"):
            cells = [row[k] for k in LEVELS]
            if not row["patient_id"] or not day(row["mri_date"]) or set(cells) - {"", "0", "1"}:
                continue
            if "" not in cells:
                labels = tuple(map(int, cells))
            else:
                labels = text_labels(c, n) if row["reading"] and not any(cells) else None
            lumbar = row["body_part"] not in NOT_LUMBAR
            readings[row["patient_id"]].append((day(row["mri_date"]), lumbar, labels))
        for _, row in rows(raw / c / "surgeries.csv"):
            if row["site"] == "lumbar_disc" and row["patient_id"]:
                surgeries[row["patient_id"]].append(day(row["surgery_date"]))

    births, sexes, owners = defaultdict(set), defaultdict(set), defaultdict(set)
    for x in xrays:
        if x["patient_id"]:
            births[x["patient_id"]] |= {x["birth"]} - {None}
            sexes[x["patient_id"]] |= {x["sex"]} - {""}
            owners[x["sha"]].add(x["patient_id"])

    outcome, seen = {}, set()
    development = set()
    for x in sorted(xrays, key=lambda x: (x["c"], x["n"])):
        found = before_duplicates(x, withdrawn, births, sexes, owners, readings, surgeries)
        if isinstance(found, str):
            outcome[x["id"]] = (found, None, None)
        elif (x["patient_id"], x["sha"]) in seen:
            outcome[x["id"]] = ("duplicate_image", None, None)
        else:
            seen.add((x["patient_id"], x["sha"]))
            if x["c"] == "second" and x["patient_id"] in development:
                outcome[x["id"]] = ("in_development", None, None)
            else:
                outcome[x["id"]] = ("cohort", *found)
                if x["c"] == "first":
                    development.add(x["patient_id"])
    return outcome


def before_duplicates(x, withdrawn, births, sexes, owners, readings, surgeries):
    p, when, born = x["patient_id"], x["day"], x["birth"]
    if p in withdrawn:
        return "withdrawn"
    if not (p and when and x["view"] and x["file"] and born):
        return "missing_data"
    if not 0 <= (when - born).days / 365.2425 <= 120:
        return "missing_data"
    if len(births[p]) > 1 or len(sexes[p]) > 1 or (x["sha"] and len(owners[x["sha"]]) > 1):
        return "identity_conflict"
    if not x["sha"]:
        return "unreadable_image"
    if x["view"] not in VIEWS:
        return "unknown_view"
    if not date(2010, 1, 1) <= when <= date(2021, 2, 28):
        return "outside_study_period"
    if when < eighteen(born):
        return "under_age"
    if not readings[p]:
        return "no_mri_reading"
    lumbar = [(d, labels) for d, is_lumbar, labels in readings[p] if is_lumbar]
    if not lumbar:
        return "non_lumbar_reading"
    by_day = defaultdict(list)
    for d, labels in lumbar:
        if labels is not None:
            by_day[d].append(labels)
    if not by_day:
        return "unlabelled_reading"
    near = [d for d in by_day if abs((d - when).days) <= 90]
    if not near:
        return "outside_interval"
    open_days = [d for d in near if not any(between(s, d, when) for s in surgeries[p])]
    if not open_days:
        return "surgery_between"
    best = min(open_days, key=lambda d: (abs(d - when), -(d - when) / timedelta(days=1)))
    return tuple(max(column) for column in zip(*by_day[best], strict=True)), best


def between(surgery, one, other):
    return surgery is None or min(one, other) <= surgery <= max(one, other)
