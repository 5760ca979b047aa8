"""The rows of the phantom's tables while they are made: what is exported, and beside it what is true."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import numpy as np

COHORT = "cohort"  # what is expected of a row that no rule excludes

Labels = np.ndarray
Reals = np.ndarray


class Damage(StrEnum):
    """What is done to an image file on its way out."""

    NONE = "none"
    ABSENT = "absent"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    TEXT = "text"
    OVERSIZED = "oversized"  # declares more pixels than the limit
    LINK = "link"  # a link that leads out of the collection
    OUTSIDE = "outside"  # a path that leads out of the collection


@dataclass
class Visit:
    """A patient's spine at one time, read on one MRI."""

    day: date
    mri_day: date
    labels: Labels  # (5,)
    severity: Reals  # (5,)


@dataclass
class Patient:
    """A person of the phantom."""

    number: int  # seeds the body
    patient_id: str
    sex: str
    birth: date
    hospital: int
    collection: str
    visits: list[Visit]


@dataclass
class Picture:
    """One exposure, whatever becomes of its file."""

    number: int  # seeds the picture
    patient: Patient
    visit: Visit
    view: str
    files: list[tuple[str, int, Damage]] = field(default_factory=list)  # collection, file number, damage


@dataclass
class Xray:
    """A row of `xrays`."""

    collection: str
    patient_id: str
    birth: str
    sex: str
    day: str
    view: str
    hospital: str
    picture: Picture
    file: int | None  # the number of the file; null: a blank cell
    damage: Damage
    expected: str  # cohort, or the reason
    variant: str  # which way of planting it
    labels: Labels | None = None  # (5,) of the matched reading, where it is in the cohort
    mri_day: date | None = None
    twins: int | None = None  # rows of equal bytes: of one group only the first row stays


@dataclass
class Reading:
    """A row of `mri_readings`."""

    collection: str
    patient_id: str
    day: str
    body_part: str
    levels: tuple[str, ...]  # (5,) as written
    text: str
    hospital: str
    true_day: date | None
    lumbar: bool
    labels: Labels | None  # (5,), null where the reading is unlabelled
    language: str  # of the text; blank where there is none
    hedged: bool = False
    rejected: str = ""  # the column for which it cannot be used


@dataclass
class Surgery:
    """A row of `surgeries`."""

    collection: str
    patient_id: str
    day: str
    site: str
    hospital: str
    rejected: str = ""
