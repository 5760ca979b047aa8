"""Numbers and words as a journal prints them."""

import datetime
from collections.abc import Iterable

from hnp_pipeline.vocabulary import ALL, HNP, LEVEL_TITLES, unit

ABSENT = "–"

TASK_TITLES = {
    "presence": "Presence",
    "level": "Level",
    "multitask": "Multitask",
    "multiview": "Multiview",
    "age_and_sex": "Age and sex",
}
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


def decimals(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals; a minus is a minus sign."""
    if value is None:
        return ABSENT
    told = f"{value:.{digits}f}"
    return told.removeprefix("-") if float(told) == 0 else told.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """A difference, with its sign unless it rounds to nothing: `+0.07`, `−0.02`, `0.00`."""
    told = decimals(value, digits)
    return f"+{told}" if value is not None and value > 0 and float(told) else told


def span(low: float | None, high: float | None, digits: int = 2, of_difference: bool = False) -> str:
    """Both ends of an interval, with `to` between where a minus may stand; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"{decimals(low, digits)}{' to ' if of_difference else '–'}{decimals(high, digits)}"


def p_value(value: float | None) -> str:
    """A p value as journals print it: two decimals, three below 0.01, `<0.001`."""
    if value is None:
        return ABSENT
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.01 else f"{min(value, 0.99):.2f}" if value < 0.995 else ">0.99"


def reason(words: str) -> str:
    """A reason from the `metrics` table for people: levels by their titles, no word twice."""
    for level, title in LEVEL_TITLES.items():
        words = words.replace(f"at {level}:", f"at {title}:")
    return words.removeprefix("interval unreliable: ").removeprefix("null ")


def day(value: datetime.date | None) -> str:
    """A date as `28 February 2021`."""
    return ABSENT if value is None else f"{value.day} {value:%B %Y}"


def per_unit(tasks: Iterable[str]) -> str:
    """By what these tasks' models answer: `per image`, `per patient`, or `per image (Multiview: per patient)`."""
    by_unit: dict[str, list[str]] = {}
    for task in tasks:
        by_unit.setdefault(unit(task), []).append(TASK_TITLES[task])
    if len(by_unit) < 2:
        return f"per {next(iter(by_unit), 'image')}"
    return f"per image ({listed(by_unit['patient'])}: per patient)"


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last
