"""The study's words: levels, views, tasks, splits, reasons. Everything else spells them through here."""

from enum import StrEnum

LEVELS = ("l1_2", "l2_3", "l3_4", "l4_5", "l5_s1")
LEVEL_TITLES = {
    "l1_2": "L1-2",
    "l2_3": "L2-3",
    "l3_4": "L3-4",
    "l4_5": "L4-5",
    "l5_s1": "L5-S1",
    "hnp": "HNP",
}
HNP = "hnp"  # any of the five levels
ALL = "all"  # the mean over the five levels

VIEWS = ("AP", "LAT", "LO", "RO", "FLEX", "EXT")
VIEW_TITLES = {
    "AP": "anterior-posterior",
    "LAT": "lateral",
    "LO": "left oblique",
    "RO": "right oblique",
    "FLEX": "flexion",
    "EXT": "extension",
}

TASKS = ("presence", "level", "multitask", "multiview")
FOLDS = (0, 1, 2, 3)

TABLES_IN = ("xrays", "mri_readings", "surgeries")

NOTICE = "Not a diagnostic device: for research only."  # on everything that a model says of a patient


class Split(StrEnum):
    """Which half of the study an image belongs to; a collection's role has the same names."""

    DEVELOPMENT = "development"
    TEST = "test"


class Reason(StrEnum):
    """Why a radiograph is not in the cohort. The order is the order in which the rules are asked."""

    WITHDRAWN = "withdrawn"
    MISSING_DATA = "missing_data"
    IDENTITY_CONFLICT = "identity_conflict"
    UNREADABLE_IMAGE = "unreadable_image"
    UNKNOWN_VIEW = "unknown_view"
    OUTSIDE_STUDY_PERIOD = "outside_study_period"
    UNDER_AGE = "under_age"
    NO_MRI_READING = "no_mri_reading"
    NON_LUMBAR_READING = "non_lumbar_reading"
    UNLABELLED_READING = "unlabelled_reading"
    OUTSIDE_INTERVAL = "outside_interval"
    SURGERY_BETWEEN = "surgery_between"
    DUPLICATE_IMAGE = "duplicate_image"
    IN_DEVELOPMENT = "in_development"


def outputs(task: str) -> tuple[str, ...]:
    """The levels that a task's model predicts: `hnp` alone, or the five.

    Raises:
        ValueError: there is no such task.
    """
    if task not in TASKS:
        raise ValueError(f"there is no task {task!r}; the tasks are {', '.join(TASKS)}")
    return (HNP,) if task == "presence" else LEVELS


def unit(task: str) -> str:
    """What a task's models answer for: an `image`, or a `patient` from all of the patient's images at once."""
    return "patient" if task == "multiview" else "image"


def units(task: str) -> tuple[str, ...]:
    """By what a task's models are judged: by patient, and before that by image where they answer for images."""
    return tuple(dict.fromkeys((unit(task), "patient")))
