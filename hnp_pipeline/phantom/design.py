"""The whole phantom as rows, before a picture is taken: patients, visits, plants, traps, and their order."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from hnp_pipeline.phantom.garden import Garden
from hnp_pipeline.phantom.labels import Signal
from hnp_pipeline.phantom.planting import plant
from hnp_pipeline.phantom.population import PERIODS, Population
from hnp_pipeline.phantom.rows import COHORT, Patient, Picture, Reading, Surgery, Xray
from hnp_pipeline.phantom.traps import TRAPS, trap
from hnp_pipeline.vocabulary import Reason

_MANY = 40  # from so many patients on, every reason is planted in both collections
_SECOND_VISITS = 0.06  # share of patients
_GONE = date(2019, 8, 31)  # whoever was last seen before can come back in the test collection


@dataclass(frozen=True)
class Design:
    """The rows of every table in their order, by collection; a null X-ray row is a blank one."""

    patients: list[Patient]
    pictures: list[Picture]
    xrays: dict[str, list[Xray | None]]
    readings: dict[str, list[Reading]]
    surgeries: dict[str, list[Surgery]]
    withdrawn: list[str]
    file_names: list[str]  # of the files by their numbers, relative to the collection


def design_study(signal: Signal, patients: int, seed: int) -> Design:
    """All rows of a phantom whose cohort has so many patients (2 or more), three quarters in development."""
    population = Population(signal, np.random.default_rng([seed, patients]))
    everywhere = patients >= _MANY
    development = max(1, min(patients - 1, round(0.75 * patients)))
    guests: list[Patient] = []
    for collection, count in zip(PERIODS, (development, patients - development), strict=True):
        people = population.new_patients(count, collection)
        if collection == "first":
            _move_before(people[0], _GONE)
        single = [p for p in people[1:] if not (everywhere and _second_visit(population, p))]
        if everywhere and len(single) == count - 1:
            single = single[1:] if _second_visit(population, single[0], surely=True) else single
        single = [people[0], *single]
        garden = Garden(population, collection, single, guests)
        trapped = single[-min(len(TRAPS), 2 * len(single) // 3) :] if everywhere else []
        for patient in people:
            if patient not in trapped:
                for visit in patient.visits:
                    population.reading(patient, visit)
        for patient, number in zip(trapped, range(len(TRAPS)), strict=False):
            trap(garden, patient, number)
        for patient in people:
            for visit in patient.visits:
                for view in population.views():
                    population.image(patient, visit, view)
        if collection == "first":
            guests += [p for p in single if p not in trapped and p.visits[-1].day <= _GONE]
        plant(garden, count, everywhere)
        if everywhere:
            _useless_rows(population, people[0])
    population.withdrawn.append(population.absent_id())
    return _in_order(population, everywhere)


def _move_before(patient: Patient, last: date) -> None:
    """Make a patient's visit earlier by years, age and interval as they were."""
    visit = patient.visits[0]
    while visit.day > last:
        years = timedelta(days=5 * 365)
        visit.day, visit.mri_day = visit.day - years, visit.mri_day - years
        patient.birth = (patient.birth - years).replace(day=min(patient.birth.day, 28))


def _second_visit(population: Population, patient: Patient, surely: bool = False) -> bool:
    """Give some patients an earlier visit; say whether this one has it."""
    if not surely and population.rng.random() > _SECOND_VISITS:
        return False
    gap = int(population.rng.integers(205, 480))
    start = PERIODS[patient.collection][0]
    gap = min(gap, (patient.visits[0].day - start).days)
    if gap < 200:  # the two readings would be in reach of each other's images
        return False
    population.add_visit(patient, gap)
    return True


def _useless_rows(population: Population, patient: Patient) -> None:
    """Readings and a surgery that no one can use."""
    day = patient.visits[0].day
    population.bare_reading(patient, day, ("1",) * 5, patient_id="", rejected="patient_id")
    population.bare_reading(patient, None, ("1",) * 5, rejected="mri_date")
    population.bare_reading(patient, day, ("1", "0", "x", "0", "0"), rejected="l3_4")
    row = population.surgery(patient, day)
    row.patient_id, row.rejected = "", "patient_id"


def _in_order(population: Population, blank_rows: bool) -> Design:
    """Shuffle every table; only then is it known which of two equal images comes first and stays."""
    rng = population.rng
    xrays: dict[str, list[Xray | None]] = {}
    readings: dict[str, list[Reading]] = {}
    surgeries: dict[str, list[Surgery]] = {}
    for collection in PERIODS:
        rows = [row for row in population.xrays if row.collection == collection]
        mixed = [rows[i] for i in rng.permutation(len(rows))]
        seen: set[int] = set()
        for row in mixed:
            if row.twins is not None and row.twins in seen:
                row.expected, row.labels, row.mri_day = Reason.DUPLICATE_IMAGE, None, None
            if row.twins is not None and row.expected == COHORT:
                seen.add(row.twins)
        xrays[collection] = list(mixed)
        if blank_rows:
            xrays[collection].insert(int(rng.integers(1, len(mixed))), None)
        read = [row for row in population.readings if row.collection == collection]
        readings[collection] = [read[i] for i in rng.permutation(len(read))]
        cut = [row for row in population.surgeries if row.collection == collection]
        surgeries[collection] = [cut[i] for i in rng.permutation(len(cut))]
    numbers = rng.permutation(population.files + 1)
    names = [f"images/{number + 1:06d}.jpg" for number in numbers]
    return Design(
        population.patients, population.pictures, xrays, readings, surgeries, population.withdrawn, names
    )
