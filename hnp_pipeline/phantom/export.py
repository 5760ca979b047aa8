"""A phantom on disk: tables and images as a hospital would deliver them, and the truth beside."""

import csv
import json
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hnp_pipeline import tables
from hnp_pipeline.errors import SettingsError
from hnp_pipeline.phantom.anatomy import person
from hnp_pipeline.phantom.damage import damaged
from hnp_pipeline.phantom.design import Design, design_study
from hnp_pipeline.phantom.film import LOOKS, encode
from hnp_pipeline.phantom.labels import SIGNALS
from hnp_pipeline.phantom.picture import radiograph
from hnp_pipeline.phantom.rows import Damage, Picture
from hnp_pipeline.phantom.truth import write_truth
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.vocabulary import LEVELS

VERSION = 1  # of the phantom: raised when the same parameters give other bytes

DEFAULT_PATIENTS, DEFAULT_SEED, DEFAULT_SIGNAL = 200, 0, "strong"


def write_phantom(
    directory: Path,
    patients: int = DEFAULT_PATIENTS,
    seed: int = DEFAULT_SEED,
    signal: str = DEFAULT_SIGNAL,
    threads: int | None = None,
    report: Report = silent,
) -> bool:
    """Write a synthetic study to `directory`/raw and its truth to `directory`/truth.

    The same parameters give the same bytes, on any number of threads. One that was cut short is made anew.

    Args:
        directory: an empty or new folder, or one that holds a phantom.
        patients: in the cohort, 4 or more; those whose every image is excluded come on top.
        seed: 0 or more.
        signal: `strong`, or `paper`: as much as the paper's AUCs allow.
        threads: that take pictures; null is one a core.
        report: is told the progress.

    Returns:
        True if it was made, False if it was already there.

    Raises:
        SettingsError: an unknown signal, too few patients, or a folder that holds something else.
    """
    if signal not in SIGNALS:
        raise SettingsError(f"there is no signal {signal!r}; choose one of {', '.join(SIGNALS)}")
    if patients < 4:
        raise SettingsError(f"a phantom needs at least 4 patients, not {patients}")
    if seed < 0:
        raise SettingsError(f"the seed must be 0 or more, not {seed}")
    parameters = {"version": VERSION, "patients": patients, "seed": seed, "signal": signal}
    if not _claim(directory, parameters):
        return False
    design = design_study(SIGNALS[signal], patients, seed)
    pictures = _take_pictures(design, directory / "raw", seed, threads, report)
    for collection in design.xrays:
        _write_tables(design, collection, directory / "raw" / collection)
    _write_csv(directory / "raw" / "withdrawn.csv", ["patient_id"], ([w] for w in design.withdrawn))
    facts = write_truth(design, SIGNALS[signal], pictures, directory / "truth")
    for collection in design.xrays:
        (directory / "raw" / collection / "_SUCCESS").touch()
    tables.write_text(_json({"parameters": parameters, **facts}), _marker(directory))
    (directory / "truth" / "unfinished.json").unlink()
    report(1.0, f"{len(pictures)} radiographs")
    return True


def _marker(directory: Path) -> Path:
    return directory / "truth" / "phantom.json"


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _parameters(directory: Path) -> Any:
    """Of the phantom that is there; None where they cannot be read."""
    try:
        return json.loads(_marker(directory).read_text(encoding="utf-8")).get("parameters")
    except (ValueError, AttributeError):
        return None


def _claim(directory: Path, parameters: dict[str, Any]) -> bool:
    """Whether there is anything to make; the folder is then empty but for the sign that it is being made."""
    unfinished = directory / "truth" / "unfinished.json"
    if directory.exists() and not directory.is_dir():
        raise SettingsError(f"{directory} is a file: give the phantom a folder")
    if _marker(directory).is_file():
        found = _parameters(directory)
        if found == parameters and not unfinished.exists():
            return False
        if found != parameters:
            raise SettingsError(
                f"{directory} holds another phantom ({found or 'unreadable'}): remove it, or give a new folder"
            )
    if directory.is_dir() and any(directory.iterdir()):
        if not unfinished.exists():
            raise SettingsError(f"{directory} is not empty and holds no phantom: give an empty or new folder")
        _marker(directory).unlink(missing_ok=True)
        shutil.rmtree(directory / "raw", ignore_errors=True)
    tables.write_text(_json(parameters), unfinished)
    return True


def _take_pictures(
    design: Design, raw: Path, seed: int, threads: int | None, report: Report
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Write every image file. Disc positions (5, 2) and sizes (5, 2) by the picture's number."""
    for collection in design.xrays:
        (raw / collection / "images").mkdir(parents=True, exist_ok=True)
    bodies = {}
    for patient in design.patients:
        age = (patient.visits[-1].day - patient.birth).days / 365.2425
        bodies[patient.number] = person(patient.sex, age, np.random.default_rng([seed, 1, patient.number]))

    def take(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
        taken = radiograph(
            bodies[picture.patient.number],
            picture.visit.severity,
            picture.view,
            picture.patient.hospital,
            np.random.default_rng([seed, 2, picture.number]),
        )
        data = encode(taken.pixels, LOOKS[picture.patient.hospital])
        for collection, number, damage in picture.files:
            damaged(raw / collection / design.file_names[number], data, damage)
        return taken.discs, taken.sizes

    places = {}
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for picture, place in zip(design.pictures, pool.map(take, design.pictures), strict=True):
            places[picture.number] = place
            report(
                len(places) / (len(design.pictures) + 1),
                f"radiograph {len(places)} of {len(design.pictures)}",
            )
    return places


def _write_tables(design: Design, collection: str, folder: Path) -> None:
    elsewhere = next(c for c in design.xrays if c != collection)
    outside = _some_file(design, elsewhere)
    columns = ["patient_id", "birth_date", "sex", "study_date", "view", "file", "hospital"]
    rows: list[list[str]] = []
    for row in design.xrays[collection]:
        if row is None:
            rows.append([""] * len(columns))
            continue
        file = "" if row.file is None else design.file_names[row.file]
        if row.damage == Damage.OUTSIDE:
            file = f"../{elsewhere}/{outside}"
        rows.append([row.patient_id, row.birth, row.sex, row.day, row.view, file, row.hospital])
    _write_csv(folder / "xrays.csv", columns, rows)
    _write_csv(
        folder / "mri_readings.csv",
        ["patient_id", "mri_date", "body_part", *LEVELS, "reading", "hospital"],
        (
            [r.patient_id, r.day, r.body_part, *r.levels, r.text, r.hospital]
            for r in design.readings[collection]
        ),
    )
    _write_csv(
        folder / "surgeries.csv",
        ["patient_id", "surgery_date", "site", "hospital"],
        ([r.patient_id, r.day, r.site, r.hospital] for r in design.surgeries[collection]),
    )


def _some_file(design: Design, collection: str) -> str:
    """A sound image of a collection."""
    return next(
        design.file_names[row.file]
        for row in design.xrays[collection]
        if row is not None and row.file is not None and row.damage == Damage.NONE
    )


def _write_csv(path: Path, columns: list[str], rows: Iterable[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
