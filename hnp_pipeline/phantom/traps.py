"""Rows that the cohort must keep, and match rightly, though they look otherwise."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np

from hnp_pipeline.phantom.garden import Garden
from hnp_pipeline.phantom.rows import Patient, Reading
from hnp_pipeline.vocabulary import Reason


def trap(garden: Garden, patient: Patient, number: int) -> None:
    """Give a cohort patient the trap of that number, which must not cost an image or change a label.

    The visit's own reading, which must be matched, is added here. Call it before the patient has images.
    """
    TRAPS[number](garden, patient)


def _other_labels(patient: Patient) -> np.ndarray:
    """Labels that would show if the wrong reading were matched."""
    return (1 - patient.visits[0].labels).astype(np.int8)


def _read(garden: Garden, patient: Patient, own: int, other: int | None = None) -> Reading:
    """The visit's own reading, and one of other labels, on these days after the X-ray."""
    visit = patient.visits[0]
    visit.mri_day = visit.day + timedelta(days=own)
    if other is not None:
        garden.population.reading(
            patient, day=visit.day + timedelta(days=other), labels=_other_labels(patient)
        )
    return garden.population.reading(patient)


def _nearer(garden: Garden, patient: Patient) -> None:
    _read(garden, patient, own=12, other=-13)


def _later_of_two(garden: Garden, patient: Patient) -> None:
    _read(garden, patient, own=20, other=-20)


def _on_day_90(garden: Garden, patient: Patient) -> None:
    _read(garden, patient, own=90, other=-91)


def _on_day_minus_90(garden: Garden, patient: Patient) -> None:
    _read(garden, patient, own=-90, other=91)


def _two_halves(garden: Garden, patient: Patient) -> None:
    """Two readings of one day, each with some of the herniations."""
    visit = patient.visits[0]
    half = visit.labels.copy()
    half[::2] = 0
    garden.population.reading(patient, labels=half)
    garden.population.reading(patient, labels=(visit.labels - half).astype(np.int8))


def _surgery_spares_one(garden: Garden, patient: Patient) -> None:
    """A surgery between the X-ray and the nearer reading leaves the farther."""
    _read(garden, patient, own=-60, other=10)
    garden.population.surgery(patient, patient.visits[0].day + timedelta(days=5))


def _surgery_elsewhere(garden: Garden, patient: Patient) -> None:
    _read(garden, patient, own=45)
    day = patient.visits[0].day
    garden.population.surgery(patient, day + timedelta(days=20), site="knee")
    garden.population.surgery(patient, day - timedelta(days=1))
    garden.population.surgery(patient, day + timedelta(days=46))


def _unlabelled_is_nearer(garden: Garden, patient: Patient) -> None:
    _read(garden, patient, own=33)
    garden.population.bare_reading(patient, patient.visits[0].day, ("0", "0", "", "1", "1"))


def _rejected_is_nearer(garden: Garden, patient: Patient) -> None:
    _read(garden, patient, own=-28)
    garden.population.bare_reading(
        patient, patient.visits[0].day, ("1", "1", "1", "1", "2"), rejected="l5_s1"
    )


def _on_18th_birthday(garden: Garden, patient: Patient) -> None:
    visit = patient.visits[0]
    if (visit.day.month, visit.day.day) != (2, 29):
        patient.birth = visit.day.replace(year=visit.day.year - 18)
    garden.population.reading(patient)


def _on_last_day(garden: Garden, patient: Patient) -> None:
    """The first day of the study in the first collection, its last in the second."""
    visit = patient.visits[0]
    age = visit.day - patient.birth
    visit.day = date(2010, 1, 1) if garden.collection == "first" else date(2021, 2, 28)
    visit.mri_day = visit.day + timedelta(days=17)
    patient.birth = visit.day - age
    if (patient.birth.month, patient.birth.day) == (2, 29):
        patient.birth -= timedelta(days=1)
    garden.population.reading(patient)


def _excluded_in_first(garden: Garden, patient: Patient) -> None:
    """A test patient whose X-rays in the first collection were all left out stays in the test."""
    garden.population.reading(patient, collection="first")
    if garden.collection == "second":
        garden.population.image(patient, day=patient.visits[0].day - timedelta(days=400), collection="first",
                                expected=Reason.OUTSIDE_INTERVAL, variant="later_in_test")  # fmt: skip


def _copy_outside_interval(garden: Garden, patient: Patient) -> None:
    """An image that stands there a second time, a year later, where it is left out for that."""
    population = garden.population
    population.reading(patient)
    kept = population.image(patient, variant="copy_outside_interval")
    visit = patient.visits[0]
    days = -400 if visit.day.year > 2015 else 400
    population.image(patient, picture=kept.picture, day=visit.day + timedelta(days=days),
                     expected=Reason.OUTSIDE_INTERVAL, variant="copy_outside_interval")  # fmt: skip


TRAPS: tuple[Callable[[Garden, Patient], None], ...] = (
    _nearer,
    _later_of_two,
    _two_halves,
    _surgery_spares_one,
    _excluded_in_first,
    _on_day_90,
    _surgery_elsewhere,
    _unlabelled_is_nearer,
    _on_18th_birthday,
    _on_last_day,
    _copy_outside_interval,
    _rejected_is_nearer,
    _on_day_minus_90,
)
