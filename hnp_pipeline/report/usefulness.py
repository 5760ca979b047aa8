"""Can the probabilities be believed, and is it of use to act on them? Calibration and decision curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hnp_pipeline.report import drawing
from hnp_pipeline.report.cells import Notes
from hnp_pipeline.report.grid import Grid, Picture, Reader, grouped
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import TASK_TITLES, level_title
from hnp_pipeline.vocabulary import HNP, LEVELS, Split, outputs

_SCALINGS = {"none": "as trained", "temperature": "at a temperature"}
_WHERE = {"test": "the ensemble on the test set", "validation": "validation, the folds together"}
_ACTED_UPTO = 0.8  # of the thresholds drawn; above it nobody asks


@dataclass(frozen=True)
class Usefulness:
    """What the section shows: the main task's figures, those of the others, and tables."""

    split: str
    pictures: list[Picture]
    more_pictures: list[Picture]
    table: Grid
    more_tables: list[Grid]
    more_title: str


def usefulness(source: Source, tasks: Sequence[str]) -> Usefulness | None:
    """Of the test set, by patient; of validation where there is no test set. Numbers of both as tables."""
    rows = source.table("calibration").to_pylist()
    splits = [s for s in (Split.TEST.value, "validation") if any(row["split"] == s for row in rows)]
    shown = [task for task in tasks if any(row["task"] == task for row in rows)]
    if not splits or not shown:
        return None
    split = splits[0]
    main = "level" if "level" in shown else shown[0]
    pictures = {
        task: [p for p in (_reliability(source, task, split), _decision(source, task, split)) if p]
        for task in shown
    }
    asked = ("patient", "image") if any(row["unit"] == "image" for row in rows) else ("patient",)
    tables = [_table(rows, shown, s, unit) for s in splits for unit in asked]
    others = [picture for task in shown if task != main for picture in pictures[task]]
    told = ["per image"] * (len(asked) > 1) + ["on validation"] * (len(splits) > 1)
    titles = ["the other tasks’ curves"] * bool(others)
    titles += [f"calibration {' and '.join(told)}"] * bool(told)
    more = "; ".join(titles)
    return Usefulness(split, pictures[main], others, tables[0], tables[1:], more[:1].upper() + more[1:])


def _levels(task: str) -> tuple[str, ...]:
    return outputs(task) if task == "presence" else (*outputs(task), HNP)


def _table(rows: list[dict[str, Any]], tasks: Sequence[str], split: str, unit: str) -> Grid:
    notes = Notes()
    reader = Reader("calibration", ("task", "split", "scaling", "unit", "level"), notes)
    found = {
        (row["task"], row["level"], row["scaling"]): row
        for row in rows
        if (row["split"], row["unit"]) == (split, unit)
    }
    lines = []
    for task in tasks:
        for level in (*LEVELS, HNP):
            plain, scaled = (found.get((task, level, scaling)) for scaling in _SCALINGS)
            if not plain or not scaled:
                continue
            cells = [
                *(
                    reader.number(row, "brier", 3, ends=("ci_low", "ci_high"), noted=True)
                    for row in (plain, scaled)
                ),
                *(reader.number(row, "ece", 3, noted=True) for row in (plain, scaled)),
                reader.number(scaled, "temperature"),
            ]
            lines.append((TASK_TITLES[task], level_title(level), cells))
    columns = [
        "Brier score, as trained", "Brier score, at a temperature",
        "ECE, as trained", "ECE, at a temperature",
        "Temperature",
    ]  # fmt: skip
    remarks = [
        "Lower is better. Brier score: mean squared difference of probability and label, with its bootstrap "
        "interval. ECE, expected calibration error over bins of equal size; it has no interval, since resampling "
        "alone makes it larger. Temperature: mean over the folds; over 1 the models were too sure.",
    ]
    if split == "validation":
        remarks.append(
            "The temperatures were fitted on these same images, so figures at a temperature flatter."
        )
    return Grid(
        f"calibration-{split}-{unit}",
        f"Calibration: {_WHERE[split]}, per {unit}.",
        columns,
        grouped(lines),
        remarks,
        notes,
    )


def _reliability(source: Source, task: str, split: str) -> Picture | None:
    """Observed share against mean probability, a panel a level, before and after scaling."""
    rows = source.rows(
        """SELECT * FROM reliability WHERE task = $task AND split = $split AND unit = 'patient'
           ORDER BY level, scaling, bin""",
        "reliability",
        task=task,
        split=split,
    )
    if not rows:
        return None
    levels = _levels(task)
    with drawing.style():
        figure, axes = drawing.panels(*((1, 1) if len(levels) == 1 else (2, 3)))
        for panel, level in zip(axes, levels, strict=True):
            drawing.unit_square(panel, level_title(level), "Mean probability", "Observed share")
            drawing.diagonal(panel)
            for i, (scaling, title) in enumerate(_SCALINGS.items()):
                of = [row for row in rows if (row["level"], row["scaling"]) == (level, scaling)]
                x, y, low, high = (
                    np.array([row[c] for row in of], float)
                    for c in ("predicted", "observed", "ci_low", "ci_high")
                )
                colour = drawing.COLOURS[i]
                if i == 0:
                    panel.vlines(x, low, high, color=colour, linewidth=0.8, alpha=0.55)
                panel.plot(x, y, color=colour, linestyle=drawing.DASHES[i], marker=drawing.MARKERS[i],
                           markersize=3, label=title)  # fmt: skip
                few = np.array([bool(row.get("reason")) for row in of], bool)
                panel.plot(x[few], y[few], drawing.MARKERS[i], color=colour, markersize=3.5,
                           markerfacecolor="white", markeredgewidth=0.7)  # fmt: skip
        drawing.legend(axes[0], "upper left")
        words = f"Reliability curves by level, task {task}, before and after temperature scaling"
        svg = drawing.inline(figure, f"reliability-{task}", words)
    caption = (
        f"{TASK_TITLES[task]}: observed share with herniation against mean probability in bins of equal size, "
        f"{_WHERE[split]}, per patient; bars are the intervals of the probabilities as trained. On the dotted "
        "line a probability can be taken at its word. Hollow: too few patients in the bin, with or without "
        "herniation, to tell. The scaled probabilities enter no other figure here."
    )
    return Picture(f"figure-reliability-{task}", svg, caption)


def _decision(source: Source, task: str, split: str) -> Picture | None:
    """Net benefit over thresholds, a panel a level, beside acting on all and on none."""
    rows = source.rows(
        """SELECT * FROM decision_curve WHERE task = $task AND split = $split AND unit = 'patient'
           AND threshold <= $upto ORDER BY level, scaling, threshold""",
        "decision_curve",
        task=task,
        split=split,
        upto=_ACTED_UPTO + 1e-9,
    )
    if not rows:
        return None
    levels = _levels(task)
    with drawing.style():
        figure, axes = drawing.panels(*((1, 1) if len(levels) == 1 else (2, 3)))
        for panel, level in zip(axes, levels, strict=True):
            of = [row for row in rows if (row["level"], row["scaling"]) == (level, "temperature")]
            x, y, low, high, everyone = (
                np.array([row[c] for row in of], float)
                for c in ("threshold", "net_benefit", "ci_low", "ci_high", "treat_all")
            )
            few = any(row.get("reason") for row in of)
            if few:
                for end in (low, high):
                    panel.plot(x, end, color=drawing.COLOURS[0], linewidth=0.6, linestyle=(0, (2, 2)))
            else:
                panel.fill_between(x, low, high, color=drawing.COLOURS[0], alpha=0.15, linewidth=0)
            panel.plot(x, y, color=drawing.COLOURS[0], label="the model")
            panel.plot(x, everyone, color=drawing.COLOURS[1], linestyle=drawing.DASHES[1], label="everyone")
            panel.axhline(0, color=drawing.MUTED, linewidth=0.8, linestyle=(0, (2, 3)), label="no one")
            top = max(everyone[0] if len(everyone) else 0, y.max(initial=0), 0.02)
            panel.set(title=level_title(level) + ("†" if few else ""), xlabel="Threshold probability", ylabel="Net benefit",
                      xlim=(0, _ACTED_UPTO), ylim=(-0.35 * top, 1.15 * top), box_aspect=1)  # fmt: skip
            panel.set_xticks((0, 0.2, 0.4, 0.6, 0.8))
        drawing.legend(axes[0], "upper right")
        words = f"Decision curves by level, task {task}: net benefit of acting on the model, on everyone, on no one"
        svg = drawing.inline(figure, f"decision-{task}", words)
    caption = (
        f"{TASK_TITLES[task]}: decision curves, {_WHERE[split]}, per patient, at a temperature, with intervals. "
        "Net benefit: true positives a patient, less false positives weighed by the odds of the threshold. Where "
        "the line is not above both others, acting on the model (say, sending for an MRI) gains nothing over "
        "treating all alike. † and an unfilled interval: too few patients with or without herniation to tell."
    )
    return Picture(f"figure-decision-{task}", svg, caption)
