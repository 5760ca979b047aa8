"""Is it the level? Every level's score against every level's label, and by how much its own leads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from hnp_pipeline.report import drawing
from hnp_pipeline.report.grid import Grid, Picture, Reader, Value, grouped
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import TASK_TITLES, decimals, level_title
from hnp_pipeline.vocabulary import ALL, LEVELS, Split, units

_WHERE = {"test": "the ensembles on the test set", "validation": "validation, mean over the folds"}


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
    matrices = {
        (row["task"], row["split"], row["unit"]): np.full((len(LEVELS), len(LEVELS)), np.nan) for row in rows
    }
    for row in rows:
        place = LEVELS.index(row["score_level"]), LEVELS.index(row["label_level"])
        auc = row["auc"]
        matrices[row["task"], row["split"], row["unit"]][place] = np.nan if auc is None else auc
    here = {task: matrices[task, split, "patient"] for task in shown if (task, split, "patient") in matrices}
    leads = source.table("level_lead").to_pylist()
    reader = Reader("level_lead", ("task", "split", "unit", "level"))
    overall = {
        row["task"]: reader.number(row, "lead", signed=True, ends=("ci_low", "ci_high"))
        for row in leads
        if (row["split"], row["unit"], row["level"]) == (split, "patient", ALL) and row["lead"] is not None
    }
    return Specificity(
        split,
        {task: overall[task] for task in shown if task in overall},
        _figure(here, split),
        _leads(leads, reader, shown, splits),
        [_numbers(rows, task, s) for s in splits for task in shown],
    )


def _figure(matrices: dict[str, np.ndarray], split: str) -> Picture:
    with drawing.style():
        figure, axes = drawing.panels(1, len(matrices), 3.0)
        for panel, (task, matrix) in zip(axes, matrices.items(), strict=True):
            _panel(panel, TASK_TITLES[task], matrix)
        words = "AUC of each level's score against each level's label: " + "; ".join(
            f"{TASK_TITLES[task]}, own level "
            + ", ".join(
                f"{level_title(level)} {m[i, i]:.2f}"
                for i, level in enumerate(LEVELS)
                if np.isfinite(m[i, i])
            )
            for task, m in matrices.items()
        )
        svg = drawing.inline(figure, f"matrix-{split}", words)
    caption = (
        f"Is it the level? AUC of each level’s score (rows) for each level’s label (columns), {_WHERE[split]}, "
        "per patient. A model that reads the level does best on the framed diagonal of each column; one that "
        "reads degeneration in general has equal rows."
    )
    return Picture("figure-matrix", svg, caption)


def _panel(axes: Axes, title: str, matrix: np.ndarray) -> None:
    """Cells shaded from .4 to 1, their values on them."""
    n = len(LEVELS)
    axes.pcolormesh(np.ma.masked_invalid(matrix), cmap="Blues", vmin=0.4, vmax=1, edgecolors="white")
    for i in range(n):
        for j in range(n):
            known = np.isfinite(matrix[i, j])
            axes.text(
                j + 0.5, i + 0.5, decimals(matrix[i, j]) if known else "–", ha="center", va="center",
                fontsize=8.5, fontweight="bold" if i == j else "normal",
                color="white" if known and matrix[i, j] > 0.72 else drawing.INK,
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


def _leads(rows: list[dict], reader: Reader, tasks: Sequence[str], splits: Sequence[str]) -> Grid | None:
    known = {row["unit"] for row in rows}
    columns = [(split, unit) for split in splits for unit in ("patient", "image") if unit in known]
    found = {(row["task"], row["level"], row["split"], row["unit"]): row for row in rows}
    lines = []
    for task in tasks:
        for level in (*LEVELS, ALL):
            of = [found.get((task, level, *column)) for column in columns]
            if any(of):
                cells = [
                    reader.number(row, "lead", signed=True, ends=("ci_low", "ci_high")) if row else ""
                    for row in of
                ]
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
    )


def _numbers(rows: list[dict], task: str, split: str) -> Grid:
    reader = Reader("level_matrix", ("task", "split", "unit", "score_level", "label_level"))
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
                reader.number(row, "auc", ends=("ci_low", "ci_high"))
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
    return Grid(f"matrix-{task}-{split}", caption, columns, grouped(lines))
