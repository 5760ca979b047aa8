"""Numbers and words as a journal prints them."""

import datetime
from collections.abc import Iterable

from hnp_pipeline.vocabulary import ALL, HNP, LEVEL_TITLES

ABSENT = "–"

TASK_TITLES = {"presence": "Presence", "level": "Level", "multitask": "Multitask"}
SPLIT_TITLES = {"development": "Development", "test": "Test"}
CLASS_TITLES = {"hnp": "HNP", "no_hnp": "No HNP"}
METRIC_TITLES = {
    "auc": "AUC",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1 score",
    "accuracy": "Accuracy",
}


def level_title(level: str) -> str:
    """`L1-2` … `L5-S1`, `Any level` or `Mean of levels`."""
    return {HNP: "Any level", ALL: "Mean of levels"}.get(level) or LEVEL_TITLES.get(level, level)


def count(value: int | None) -> str:
    """A count with thousands separated: `162,256`."""
    return ABSENT if value is None else f"{value:,}"


def counted(value: int, noun: str, plural: str | None = None) -> str:
    """A count and its noun: `1 image`, `3,512 patients`."""
    return f"{count(value)} {noun if value == 1 else plural or noun + 's'}"


def share(part: int | None, whole: int | None) -> str:
    """A part of a whole in percent with one decimal, without the sign: `24.9`."""
    return ABSENT if part is None or not whole else f"{100 * part / whole:.1f}"


def rounded(value: float | None, metric: str = "") -> str:
    """A figure as the paper rounds it: two decimals (`0.72`), accuracy in percent with one (`62.3%`)."""
    if value is None:
        return ABSENT
    return f"{100 * value:.1f}%" if metric == "accuracy" else f"{value:.2f}"


def interval(low: float | None, high: float | None, metric: str = "") -> str:
    """Both ends of an interval: `0.68–0.76`; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"{rounded(low, metric).removesuffix('%')}–{rounded(high, metric)}"


def reason(words: str) -> str:
    """A reason from the `metrics` table for people: levels by their titles, no word twice."""
    for level, title in LEVEL_TITLES.items():
        words = words.replace(f"at {level}:", f"at {title}:")
    return words.removeprefix("interval unreliable: ").removeprefix("null ")


def day(value: datetime.date | None) -> str:
    """A date as `28 February 2021`."""
    return ABSENT if value is None else f"{value.day} {value:%B %Y}"


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last
