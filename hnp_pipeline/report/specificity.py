"""Is it the level? Every level's score against every level's label, and by how much its own leads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from hnp_pipeline.report import drawing
from hnp_pipeline.report.cells import Notes
from hnp_pipeline.report.grid import Grid, Picture, Reader, Value, grouped
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import TASK_TITLES, decimals, level_title
from hnp_pipeline.vocabulary import ALL, LEVELS, Split, units

_WHERE = {"test": "the ensembles on the test set", "validation": "validation, mean over the folds"}
_LEAD_KEY = ("task", "split", "unit", "level")


@dataclass(frozen=True)
class Specificity:
    """What the section shows; `overall` is the lead over all levels by task."""

    split: str
    overall: dict[str, Value]
    figure: Picture
    leads: Grid | None
    more: list[Grid]


def specificity(source: Source, tasks: Sequence[str]) -> Specificity | None:
    """The matrix of the test set, by patient (of validation where there is no test set), and its numbers."""
    rows = source.table("level_matrix").to_pylist()
    splits = [s for s in (Split.TEST.value, "validation") if any(row["split"] == s for row in rows)]
    shown = [task for task in tasks if any(row["task"] == task for row in rows)]
    if not splits or not shown:
        return None
    split = splits[0]
    here = {}
    for task in shown:
        of = [r for r in rows if (r["task"], r["split"], r["unit"]) == (task, split, "patient")]
        if of:
            here[task] = _matrix(of)
    leads = source.table("level_lead").to_pylist()
    overall = {
        row["task"]: _lead(Reader("level_lead", _LEAD_KEY), row)
        for row in leads
        if (row["split"], row["unit"], row["level"]) == (split, "patient", ALL) and row["lead"] is not None
    }
    return Specificity(
        split,
        {task: overall[task] for task in shown if task in overall},
        _figure(here, split),
        _leads(leads, shown, splits),
        [_numbers(rows, task, s) for s in splits for task in shown],
    )


@dataclass(frozen=True)
class _Matrix:
    """AUCs (score, label), NaN where there is none, and which of them are not to be relied on."""

    auc: np.ndarray
    doubtful: np.ndarray


def _matrix(rows: Sequence[dict]) -> _Matrix:
    n = len(LEVELS)
    found = _Matrix(np.full((n, n), np.nan), np.zeros((n, n), bool))
    for row in rows:
        place = LEVELS.index(row["score_level"]), LEVELS.index(row["label_level"])
        if row["auc"] is not None:
            found.auc[place] = row["auc"]
            found.doubtful[place] = bool(row.get("reason"))
    return found


def _figure(matrices: dict[str, _Matrix], split: str) -> Picture:
    with drawing.style():
        figure, axes = drawing.panels(1, len(matrices), 3.0)
        for panel, (task, matrix) in zip(axes, matrices.items(), strict=True):
            _panel(panel, TASK_TITLES[task], matrix)
        words = "AUC of each level's score against each level's label: " + "; ".join(
            f"{TASK_TITLES[task]}, own level "
            + ", ".join(
                f"{level_title(level)} {m.auc[i, i]:.2f}"
                for i, level in enumerate(LEVELS)
                if np.isfinite(m.auc[i, i])
            )
            for task, m in matrices.items()
        )
        svg = drawing.inline(figure, f"matrix-{split}", words)
    caption = (
        f"Is it the level? AUC of each level’s score (rows) for each level’s label (columns), {_WHERE[split]}, "
        "per patient. A model that reads the level does best on the framed diagonal of each column; one that "
        "reads degeneration in general has equal rows. Unshaded, with †: too few patients with or without that label "
        "to tell."
    )
    return Picture("figure-matrix", svg, caption)


def _panel(axes: Axes, title: str, matrix: _Matrix) -> None:
    """Cells shaded from .4 to 1, their values on them; the doubtful marked and left white."""
    n = len(LEVELS)
    shaded = np.isfinite(matrix.auc) & ~matrix.doubtful
    axes.pcolormesh(np.ma.array(matrix.auc, mask=~shaded), cmap="Blues", vmin=0.4, vmax=1, edgecolors="white")
    for i in range(n):
        for j in range(n):
            auc = matrix.auc[i, j]
            words = decimals(auc) + ("†" if matrix.doubtful[i, j] else "") if np.isfinite(auc) else "–"
            axes.text(
                j + 0.5, i + 0.5, words, ha="center", va="center",
                fontsize=8.5, fontweight="bold" if i == j else "normal",
                color="white" if shaded[i, j] and auc > 0.72 else drawing.INK,
            )  # fmt: skip
        frame = ((i, i), (i + 1, i), (i + 1, i + 1), (i, i + 1), (i, i))
        axes.plot(*zip(*frame, strict=True), color=drawing.INK, linewidth=1.3, clip_on=False)
    titles = [level_title(level) for level in LEVELS]
    axes.set_xticks(np.arange(n) + 0.5, titles)
    axes.set_yticks(np.arange(n) + 0.5, titles)
    axes.set(title=title, xlabel="Label at", ylabel="Score for", aspect="equal", xlim=(0, n), ylim=(n, 0))
    axes.tick_params(length=0, labelsize=8)
    for side in axes.spines.values():
        side.set_visible(False)


def _lead(reader: Reader, row: dict) -> Value:
    return reader.number(row, "lead", signed=True, ends=("ci_low", "ci_high"), noted=True)


def _leads(rows: list[dict], tasks: Sequence[str], splits: Sequence[str]) -> Grid | None:
    notes = Notes()
    reader = Reader("level_lead", _LEAD_KEY, notes)
    known = {row["unit"] for row in rows}
    columns = [(split, unit) for split in splits for unit in ("patient", "image") if unit in known]
    found = {(row["task"], row["level"], row["split"], row["unit"]): row for row in rows}
    lines = []
    for task in tasks:
        for level in (*LEVELS, ALL):
            of = [found.get((task, level, *column)) for column in columns]
            if any(of):
                cells = [_lead(reader, row) if row else "" for row in of]
                lines.append((TASK_TITLES[task], level_title(level), cells))
    if not lines:
        return None
    titles = {"test": "Test", "validation": "Validation"}
    return Grid(
        "lead",
        "The lead of the level’s own score: its AUC less the mean AUC of the other four scores for the same "
        "label, with intervals.",
        [f"{titles[split]}, per {unit}" for split, unit in columns],
        grouped(lines),
        notes=notes,
    )


def _numbers(rows: list[dict], task: str, split: str) -> Grid:
    notes = Notes()
    reader = Reader("level_matrix", ("task", "split", "unit", "score_level", "label_level"), notes)
    found = {
        (row["unit"], row["score_level"], row["label_level"]): row
        for row in rows
        if (row["task"], row["split"]) == (task, split)
    }
    lines = [
        (
            f"Per {unit}",
            f"Score for {level_title(score)}",
            [
                reader.number(row, "auc", ends=("ci_low", "ci_high"), noted=True)
                if (row := found.get((unit, score, label)))
                else ""
                for label in LEVELS
            ],
        )
        for unit in reversed(units(task))
        for score in LEVELS
    ]
    columns = [f"Label at {level_title(level)}" for level in LEVELS]
    caption = f"AUC of each level’s score for each level’s label, task {task}, {_WHERE[split]}."
    return Grid(f"matrix-{task}-{split}", caption, columns, grouped(lines), notes=notes)
