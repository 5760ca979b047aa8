"""One figure of the study beside the paper's: its key in `metrics`, how it is printed, its footnote.

Every figure comes from the `metrics` table and carries its key, so that a reader, or a test, can look it up.
The paper's numbers travel with the package (kim2022.csv; Kim et al. 2022, CC BY 4.0).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from hnp_pipeline.report.source import shipped
from hnp_pipeline.report.wording import interval, reason, rounded


class Key(NamedTuple):
    """Which row of `metrics`."""

    task: str
    split: str
    fold: int | None
    level: str
    class_: str | None
    unit: str
    metric: str

    @property
    def attributes(self) -> dict[str, str]:
        """The key as `data-…` attributes; null as an empty text."""
        names = ("task", "split", "fold", "level", "class", "unit", "metric")
        return {
            f"data-{name}": "" if value is None else str(value)
            for name, value in zip(names, self, strict=True)
        }


@dataclass(frozen=True)
class Cell:
    """One figure as it is printed, and the paper's beside it where the paper has one."""

    key: Key
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    mark: str = ""  # of the footnote that tells the reason
    paper: float | None = None

    @property
    def text(self) -> str:
        """The value, rounded."""
        return rounded(self.value, self.key.metric)

    @property
    def interval(self) -> str:
        """The interval, rounded; empty where there is none."""
        return "" if self.value is None else interval(self.low, self.high, self.key.metric)

    @property
    def paper_text(self) -> str:
        """The paper's value as printed there."""
        return rounded(self.paper, self.key.metric)

    @property
    def inside(self) -> bool | None:
        """Whether the paper's value lies inside our interval; None where that cannot be asked."""
        if self.paper is None or self.value is None or self.low is None or self.high is None:
            return None
        return self.low <= self.paper <= self.high

    @property
    def attributes(self) -> dict[str, str]:
        """Key and full values, for whoever compares the page with the table."""
        values = {"value": self.value, "low": self.low, "high": self.high}
        told = {f"data-{name}": "" if value is None else repr(value) for name, value in values.items()}
        return {**self.key.attributes, **told}


class Notes:
    """The footnotes of one table: a letter for each reason why a figure is absent, † for the unreliable."""

    def __init__(self) -> None:
        self.absent: dict[str, str] = {}
        self.unreliable: list[str] = []

    def mark(self, value: float | None, reason: str | None) -> str:
        """The mark of a figure, and its reason kept for the foot."""
        if not reason:
            return ""
        if value is not None:
            if reason not in self.unreliable:
                self.unreliable.append(reason)
            return "†"
        return self.absent.setdefault(reason, _letter(len(self.absent)))


class Paper:
    """The numbers of Kim et al. 2022."""

    def __init__(self) -> None:
        self._values = {
            (r["table"], r["fold"], r["level"], r["class"], r["metric"]): float(r["value"])
            for r in shipped("kim2022.csv")
        }

    def value(
        self, table: str, fold: int | None, level: str, class_: str | None, metric: str
    ) -> float | None:
        """The printed number, or None where the paper has none."""
        return self._values.get((table, "" if fold is None else str(fold), level, class_ or "", metric))


class Metrics:
    """The `metrics` table by its key."""

    def __init__(self, table: pa.Table, paper: Paper) -> None:
        self._rows = {_key(row): row for row in table.to_pylist()}
        self._paper = paper

    def cell(self, key: Key, notes: Notes | None = None, table: str = "") -> Cell:
        """A figure with its footnote's mark, beside the paper's of `table` (2 to 5, abstract)."""
        row = self._rows.get(key) or {
            "value": None,
            "ci_low": None,
            "ci_high": None,
            "reason": "not computed yet",
        }
        mark = notes.mark(row["value"], row["reason"]) if notes else ""
        paper = self._paper.value(table, key.fold, key.level, key.class_, key.metric) if table else None
        return Cell(key, row["value"], row["ci_low"], row["ci_high"], row["reason"], mark, paper)

    def has(self, task: str, split: str, single_models: bool = False) -> bool:
        """Whether there are figures of a task on a split (of its fold models alone)."""
        return any(
            k.task == task and k.split == split and (k.fold is not None or not single_models)
            for k in self._rows
        )


def unreliable_note(reasons: Sequence[str], most: int = 4) -> str:
    """What † stands for, with the reasons if they are few."""
    told = "; ".join(map(reason, reasons)) if len(reasons) <= most else ""
    return (
        f"Interval not reliable, or none: {told or 'too few patients; each figure’s tooltip says how few'}."
    )


def _key(row: dict[str, Any]) -> Key:
    return Key(row["task"], row["split"], row["fold"], row["level"], row["class"], row["unit"], row["metric"])


def _letter(index: int) -> str:
    """a, b, … z, aa, ab, …"""
    head = _letter(index // 26 - 1) if index >= 26 else ""
    return head + chr(ord("a") + index % 26)
