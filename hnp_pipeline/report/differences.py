"""Paired differences in AUC: tasks against age and sex alone, tasks with each other, what averaging brought."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hnp_pipeline.report import drawing
from hnp_pipeline.report.cells import Notes
from hnp_pipeline.report.grid import Grid, Picture, Reader, Row, Value, grouped
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import TASK_TITLES, level_title
from hnp_pipeline.vocabulary import ALL, HNP, LEVELS, Split

BASELINE = "age_and_sex"
_KEY = ("split", "first", "second", "unit", "level")
_ORDER = {level: i for i, level in enumerate((*LEVELS, ALL, HNP))}
_METHOD = {
    "patient": "p: DeLong’s test",
    "image": "p: Obuchowski’s test for images of one patient",
}


@dataclass(frozen=True)
class Finding:
    """The difference that the summary tells: of one task against age and sex."""

    task: str
    row: dict[str, Any]
    difference: Value
    p_value: Value

    @property
    def verdict(self) -> str:
        """`few` patients to tell; `more` or `less` where the interval leaves zero on one side; else `open`."""
        low, high = self.difference.low, self.difference.high
        if self.difference.reason:
            return "few"
        if low is None or high is None or low <= 0 <= high:
            return "open"
        return "more" if low > 0 else "less"


@dataclass(frozen=True)
class Differences:
    """What the section shows: findings and a figure first, then tables, then those that are folded away."""

    split: str
    findings: list[Finding]
    figure: Picture | None
    tables: list[Grid]
    more: list[Grid]
    more_title: str


def differences(source: Source, tasks: Sequence[str]) -> Differences | None:
    """The comparisons of the test set, by patient; those by image and on validation to be folded away."""
    rows = [
        row
        for row in source.table("comparisons").to_pylist()
        if row["first"] in tasks and row["second"] in (*tasks, BASELINE)
    ]
    names = (*tasks, BASELINE)
    rows.sort(key=lambda r: (names.index(r["first"]), names.index(r["second"]), _ORDER[r["level"]]))
    if not rows:
        return None
    splits = [s for s in (Split.TEST.value, "validation") if any(row["split"] == s for row in rows)]
    shown: dict[tuple[str, str], list[Grid]] = {}
    for split in splits:
        for unit in ("patient", "image"):
            of = [row for row in rows if (row["split"], row["unit"]) == (split, unit)]
            baseline = [row for row in of if row["second"] == BASELINE]
            pairs = [row for row in of if row["second"] != BASELINE]
            shown[split, unit] = [
                *([_table(baseline, split, unit, True)] if baseline else []),
                *([_table(pairs, split, unit, False)] if pairs else []),
            ]
    split = splits[0]
    main = [
        r for r in rows if (r["split"], r["unit"], r["second"]) == (split, "patient", BASELINE)
    ]  # the first table
    first = shown.pop((split, "patient"))
    more = [table for tables in shown.values() for table in tables]
    told = ["per image"] * any(shown[key] for key in shown if key[1] == "image")
    told += ["on validation"] * any(shown[key] for key in shown if key[0] != split)
    title = f"Differences {' and '.join(told)}"
    return Differences(split, _findings(main), _figure(main, split), first, more, title)


def averaging(source: Source, tasks: Sequence[str]) -> Grid | None:
    """What the mean over models, and that over a patient's images, brought in AUC."""
    rows = [r for r in source.table("averaging").to_pylist() if r["task"] in tasks]
    if not rows:
        return None
    notes = Notes()
    reader = Reader("averaging", ("task", "first", "second", "unit", "level"), notes)
    pairs = list(dict.fromkeys((row["first"], row["second"]) for row in rows))
    found = {(row["task"], row["level"], row["first"], row["second"]): row for row in rows}
    lines = []
    for task in tasks:
        for level in (*LEVELS, ALL, HNP):
            of = [found.get((task, level, *pair)) for pair in pairs]
            if any(of):
                cells = [_difference(reader, row) if row else "" for row in of]
                lines.append((TASK_TITLES[task], level_title(level), cells))
    columns = [f"{a.capitalize()} less {b}" for a, b in pairs]
    caption = "What averaging brought: paired differences in AUC on the test set, with intervals."
    remarks = ["Single models: the mean of the four models’ AUCs."]
    if ("ensemble by patient", "ensemble by image") in pairs:
        remarks.append(
            "Ensemble by patient less ensemble by image: part of it is that the question changes, from a picture’s "
            "label to a patient’s."
        )
    return Grid("averaging", caption, columns, grouped(lines), remarks, notes)


def _table(rows: list[Row], split: str, unit: str, baseline: bool) -> Grid:
    notes = Notes()
    reader = Reader("comparisons", _KEY, notes)
    lines = [
        (
            TASK_TITLES[row["first"]]
            if baseline
            else f"{TASK_TITLES[row['first']]} less {TASK_TITLES[row['second']].lower()}",
            level_title(row["level"]),
            [
                reader.number(row, "auc_first"),
                reader.number(row, "auc_second"),
                _difference(reader, row),
                reader.probability(row),
            ],
        )
        for row in rows
    ]
    where = "the ensembles on the test set" if split == Split.TEST else "validation, mean over the folds"
    what = (
        "Each task beside a logistic regression on age and sex alone: AUC"
        if baseline
        else "The tasks with each other: AUC of the first and of the second"
    )
    columns = [
        *(("The task", "Age and sex") if baseline else ("First", "Second")),
        "Difference",
        "p",
    ]
    remarks = [
        f"Intervals of the difference are paired: both sides from the same draws of patients. {_METHOD[unit]}, "
        "two-sided, not corrected for the number of comparisons; the mean of levels has none."
    ]
    if baseline:
        remarks.append("A patient counts once in fitting the regression, on development patients alone.")
    anchor = f"{'baseline' if baseline else 'tasks'}-{split}-{unit}"
    return Grid(anchor, f"{what}, {where}, per {unit}.", columns, grouped(lines), remarks, notes)


def _difference(reader: Reader, row: Row) -> Value:
    return reader.number(row, "difference", signed=True, ends=("ci_low", "ci_high"), noted=True)


def _findings(rows: list[Row]) -> list[Finding]:
    """A task's difference over the mean of its levels; at any level where that cannot be had."""
    reader = Reader("comparisons", _KEY)
    best: dict[str, Row] = {}
    for row in rows:
        known = row["level"] in (ALL, HNP) and row["difference"] is not None
        if known and (row["first"] not in best or row["level"] == ALL):
            best[row["first"]] = row
    return [
        Finding(task, dict(row), _difference(reader, row), reader.probability(row))
        for task, row in best.items()
    ]


def _figure(rows: list[Row], split: str) -> Picture | None:
    known = [row for row in rows if row["difference"] is not None]
    if not known:
        return None
    levels = [level for level in (*LEVELS, ALL, HNP) if any(row["level"] == level for row in known)]
    with drawing.style():
        figure, (axes,) = drawing.panels(1, 1)
        figure.set_size_inches(7.2, 0.75 + 0.42 * len(levels))
        tasks = dict.fromkeys(row["first"] for row in known)
        series = [
            drawing.Series(
                TASK_TITLES[task],
                [
                    (levels.index(r["level"]), r["difference"], r["ci_low"], r["ci_high"], not r["reason"])
                    for r in known
                    if r["first"] == task
                ],
            )
            for task in tasks
        ]
        titles = [level_title(level) for level in levels]
        drawing.forest(axes, titles, series, 0, "AUC less that of age and sex alone")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        words = "Difference in AUC between each task and age and sex alone, by level"
        svg = drawing.inline(figure, "baseline", words)
    where = "on the test set" if split == Split.TEST else "on validation"
    caption = (
        f"How much more than age and sex: paired differences in AUC {where}, per patient, with intervals. "
        "Right of the dotted line the models do better than a regression that never sees a radiograph; an "
        "interval that crosses it leaves that open. Hollow, or without an interval: too few patients of one class "
        "to tell."
    )
    return Picture("figure-baseline", svg, caption)
