"""Numbers of the study's other tables as the page prints them, each with where it comes from, and grids of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from markupsafe import Markup

from hnp_pipeline.report import wording
from hnp_pipeline.report.cells import Notes

Row = Mapping[str, Any]


class Picture(NamedTuple):
    """A figure of the page: its drawing and the words below it."""

    anchor: str
    svg: Markup
    caption: str


class Value(NamedTuple):
    """One number as it is printed, its interval, and its place: table, row (by its key) and column."""

    table: str
    key: Mapping[str, Any]
    column: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    interval: str = ""
    mark: str = ""  # of the footnote
    reason: str | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """The place and the full values, for whoever compares the page with the table."""
        told = {"value": self.value, "low": self.low, "high": self.high}
        return {
            "data-of": self.table,
            "data-column": self.column,
            "data-key": json.dumps(self.key, ensure_ascii=False),
            **{f"data-{name}": "" if value is None else repr(value) for name, value in told.items()},
        }


class Reader:
    """Makes values of the rows of one table."""

    def __init__(self, table: str, key: Sequence[str], notes: Notes | None = None) -> None:
        self._table, self._key, self._notes = table, key, notes

    def number(
        self,
        row: Row,
        column: str,
        digits: int = 2,
        signed: bool = False,
        ends: tuple[str, str] | None = None,
        noted: bool = False,
    ) -> Value:
        """A number of a row.

        Args:
            row: of the table, with its key.
            column: which number.
            digits: decimals.
            signed: whether a plus is written, and an interval with `to`.
            ends: the columns of its interval, if it has one.
            noted: whether the row's `reason` belongs to it.
        """
        value = row[column]
        low, high = (row[ends[0]], row[ends[1]]) if ends else (None, None)
        write = wording.signed if signed else wording.decimals
        reason = row.get("reason") if noted else None
        return Value(
            self._table, {k: row[k] for k in self._key}, column, value, low, high,
            write(value, digits),
            wording.span(low, high, digits, signed) if value is not None else "",
            self._notes.mark(value, reason) if self._notes else "",
            reason,
        )  # fmt: skip

    def probability(self, row: Row, column: str = "p_value") -> Value:
        """A p value; as doubtful as its row."""
        value = row[column]
        key = {k: row[k] for k in self._key}
        reason = row.get("reason") if value is not None else None
        mark = self._notes.mark(value, reason) if self._notes else ""
        text = wording.p_value(value)
        return Value(self._table, key, column, value, None, None, text, mark=mark, reason=reason)


class Line(NamedTuple):
    """A line of a grid: its title and cells; and the title of the group that it opens, over `span` lines."""

    title: str
    cells: Sequence[Value | str]
    group: str = ""
    span: int = 0


@dataclass(frozen=True)
class Grid:
    """A table of the page. A cell is a value, or words."""

    anchor: str
    caption: str
    columns: Sequence[str]
    lines: Sequence[Line]
    remarks: Sequence[str] = ()
    notes: Notes = field(default_factory=Notes)

    @property
    def grouped(self) -> bool:
        """Whether the lines stand in groups."""
        return any(line.span for line in self.lines)


def grouped(lines: Sequence[tuple[str, str, Sequence[Value | str]]]) -> list[Line]:
    """Lines from (group, title, cells), those of one group standing together."""
    groups = [group for group, *_ in lines]
    return [
        Line(title, cells, group, groups.count(group) if i == groups.index(group) else 0)
        for i, (group, title, cells) in enumerate(lines)
    ]
