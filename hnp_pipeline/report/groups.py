"""Who it works for: the ensembles on the test set by hospital, view, sex, age, number of images, collection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hnp_pipeline.report import drawing
from hnp_pipeline.report.cells import Notes
from hnp_pipeline.report.grid import Grid, Picture, Reader, Value, grouped
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import METRIC_TITLES, TASK_TITLES, count, level_title
from hnp_pipeline.vocabulary import ALL, HNP, VIEW_TITLES, outputs, unit

BY = {
    "hospital": "Hospital",
    "view": "View",
    "sex": "Sex",
    "age": "Age in years",
    "images": "Images of the patient",
    "collection": "Collection",
}
_DRAWN = 12  # groups of one kind in the figure; the tables have all
_KEY = ("by", "group", "task", "level", "class", "unit", "metric")
_UNIT = "patient"
_IMAGES = (
    "A patient is in each group that holds an image of theirs, and is judged there by those images alone."
)
_PATIENTS = (
    "A patient is in each group that holds an image of theirs, with the same answer in each: it was made of all their "
    "images, which are the images counted here. So views cannot be told apart; how much the models went by each stands "
    "at multiview/test_evaluation in Dagster and with the test run in MLflow (attention_by_view)."
)


@dataclass(frozen=True)
class Groups:
    """What the section shows."""

    task: str
    figure: Picture | None
    tables: list[Grid]
    left_out: list[str]  # kinds of which the figure shows the largest groups alone


def groups(source: Source, tasks: Sequence[str]) -> Groups | None:
    """A figure for the main task, and the tables of every task. By patient, judged by the group's images."""
    rows = source.rows(
        """SELECT * FROM subgroups WHERE unit = 'patient' AND metric IN ('auc', 'precision', 'recall', 'f1',
           'accuracy') AND (class IS NULL OR class = 'hnp')""",
        "subgroups",
    )
    shown = [task for task in tasks if any(row["task"] == task for row in rows)]
    if not shown:
        return None
    task = "level" if "level" in shown else shown[0]
    by_task = {t: [row for row in rows if row["task"] == t] for t in shown}
    members = _members(by_task[task])
    drawn, left_out = _largest(members)
    tables = [
        table
        for t in shown
        for table in (
            _table(by_task[t], t, [(level, "auc") for level in _levels(t)], "auc"),
            _table(by_task[t], t, [(HNP, m) for m in ("precision", "recall", "f1", "accuracy")], "any"),
        )
    ]
    return Groups(task, _figure(by_task[task], task, drawn), tables, left_out)


def _levels(task: str) -> tuple[str, ...]:
    return (HNP,) if task == "presence" else (*outputs(task), ALL, HNP)


def _members(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Images and patients of each group, in the order of the table."""
    return {(row["by"], row["group"]): (row["images"], row["patients"]) for row in rows}


def _largest(members: dict[tuple[str, str], tuple[int, int]]) -> tuple[list[tuple[str, str]], list[str]]:
    drawn, left_out = [], []
    for by in BY:
        of = [key for key in members if key[0] == by]
        if len(of) > _DRAWN:
            left_out.append(BY[by].lower())
            largest = sorted(of, key=lambda key: -members[key][1])[:_DRAWN]
            of = [key for key in of if key in largest]
        drawn += of
    return drawn, left_out


def group_title(by: str, group: str) -> str:
    """A group as people read it."""
    if by == "view" and group in VIEW_TITLES:
        return f"{group}, {VIEW_TITLES[group]}"
    if by == "sex":
        return {"F": "Female", "M": "Male", "unknown": "Unknown"}.get(group, group)
    if by == "images" and group == "up to 1":
        return "1"
    return "Not given" if group == "unknown" else group


def _table(rows: list[dict], task: str, asked: Sequence[tuple[str, str]], name: str) -> Grid:
    """A line a group: its size, then the figures asked for as (level, metric)."""
    notes = Notes()
    reader = Reader("subgroups", _KEY, notes)
    found = {(row["by"], row["group"], row["level"], row["metric"]): row for row in rows}
    sizes = _members(rows)
    lines = []
    for by in BY:
        for (_, group), (images, patients) in ((k, v) for k, v in sizes.items() if k[0] == by):
            cells: list[Value | str] = [count(images), count(patients)]
            for level, metric in asked:
                row = found.get((by, group, level, metric))
                ends = ("ci_low", "ci_high")
                cells.append(reader.number(row, "value", ends=ends, noted=True) if row else "–")
            lines.append((BY[by], group_title(by, group), cells))
    if name == "auc":
        columns = [level_title(level) for level, _ in asked]
        what = "AUC"
    else:
        columns = [METRIC_TITLES[metric] for _, metric in asked]
        what = "herniation at any level, at the study’s thresholds,"
    caption = f"{TASK_TITLES[task]}: {what} by group, the ensemble on the test set, per {_UNIT}."
    remarks = [_PATIENTS if unit(task) == "patient" else _IMAGES]
    return Grid(
        f"groups-{task}-{name}", caption, ["Images", "Patients", *columns], grouped(lines), remarks, notes
    )


def _figure(rows: list[dict], task: str, drawn: Sequence[tuple[str, str]]) -> Picture | None:
    levels = [level for level in (ALL, HNP) if level in _levels(task)]
    found = {
        (row["by"], row["group"], row["level"]): row
        for row in rows
        if row["metric"] == "auc" and row["value"] is not None
    }
    if not found:
        return None
    labels: list[str] = []
    place: dict[tuple[str, str], int] = {}
    headings = []
    patients = _members(rows)
    for by in BY:
        of = [key for key in drawn if key[0] == by]
        if of:
            headings.append(len(labels))
            labels.append(BY[by])
        for key in of:
            place[key] = len(labels)
            labels.append(f"{group_title(*key)} ({count(patients[key][1])})")
    with drawing.style():
        figure, axes = drawing.panels(1, len(levels))
        figure.set_size_inches(7.2, 0.7 + 0.19 * len(labels))
        for i, (panel, level) in enumerate(zip(axes, levels, strict=True)):
            points = [
                (row, r["value"], r["ci_low"], r["ci_high"], not r["reason"])
                for key, row in place.items()
                if (r := found.get((*key, level)))
            ]
            drawing.forest(
                panel, labels if not i else [""] * len(labels), [drawing.Series("", points)], 0.5, "AUC"
            )
            panel.set_title(level_title(level))
            panel.set_xlim(-0.02, 1.02)
            for row in (row for key, row in place.items() if (*key, level) not in found):
                panel.text(0.02, row, "not computable", va="center", fontsize=7, color=drawing.MUTED)
        for row in headings:
            axes[0].get_yticklabels()[row].set_fontweight("bold")
        svg = drawing.inline(figure, f"groups-{task}", f"AUC by group, task {task}: see the tables below")
    caption = (
        f"Who it works for, task {task}: AUC of the ensemble on the test set by group, per patient, with "
        "intervals; in brackets the patients. Hollow, or without an interval: too few patients of one class to "
        "say. Groups overlap, and differ in more than their name: this describes, it does not test."
    )
    return Picture(f"figure-groups-{task}", svg, caption)
