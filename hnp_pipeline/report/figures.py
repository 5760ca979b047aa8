"""The report's curves: ROC, precision-recall, and the overview of AUCs.

Curves are drawn from the predictions; every figure printed in a legend is one of the `metrics` table.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve, roc_curve

from hnp_pipeline import vocabulary
from hnp_pipeline.report import drawing
from hnp_pipeline.report.cells import Cell, Key, Metrics
from hnp_pipeline.report.grid import Picture
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import TASK_TITLES, counted, level_title, per_unit
from hnp_pipeline.vocabulary import FOLDS, HNP, LEVELS, outputs


class Scored(NamedTuple):
    """Labels and probabilities of one curve."""

    label: np.ndarray
    probability: np.ndarray

    @property
    def lacking(self) -> str:
        """Why there is no curve; empty where there is one."""
        if not len(self.label):
            return "no prediction"
        return "" if 0 < self.label.sum() < len(self.label) else "only one class"


def overview(metrics: Metrics, tasks: Sequence[str], split: str) -> Picture | None:
    """The AUC at every level with its interval, beside the paper's: the study at a glance."""
    shown = [task for task in tasks if metrics.has(task, split)]
    if not shown:
        return None
    levels = (*LEVELS, HNP)
    with drawing.style():
        figure, (axes,) = drawing.panels(1, 1)
        figure.set_size_inches(7.2, 0.55 + 0.5 * len(levels))
        told, series = [], []
        for task in shown:
            points = []
            for row, level in enumerate(levels):
                unit = "patient" if split == "test" else vocabulary.unit(task)
                cell = metrics.cell(Key(task, split, None, level, None, unit, "auc"))
                if level in (*outputs(task), HNP) and cell.value is not None:
                    points.append((row, cell.value, cell.low, cell.high, not cell.reason))
                    told.append(f"{TASK_TITLES[task]} {level_title(level)} {cell.text} ({cell.interval})")
            series.append(drawing.Series(f"{TASK_TITLES[task]}, ours", points))
        drawing.forest(axes, [level_title(level) for level in levels], series, 0.5, "AUC")
        if split == "test":
            papers = [(row, _paper_auc(metrics, level)) for row, level in enumerate(levels)]
            known = [(value, row) for row, value in papers if value is not None]
            axes.plot(*zip(*known, strict=True), "*", label="Kim et al. 2022",
                      markerfacecolor="white", color=drawing.INK, markersize=8)  # fmt: skip
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        words = f"AUC by level on {split}: " + "; ".join(told)
        svg = drawing.inline(figure, f"overview-{split}", words)
    what = (
        "the ensembles on the test set, per patient"
        if split == "test"
        else f"validation, {per_unit(shown)}, mean over folds"
    )
    paper = " Stars: the paper’s test AUCs (Table 5; any level: abstract)." if split == "test" else ""
    caption = (
        f"AUC by level: {what}, with intervals; hollow where too few patients make the interval unreliable."
        f"{paper} The dotted line is chance."
    )
    return Picture(f"figure-auc-{split}", svg, caption)


def validation_curves(source: Source, metrics: Metrics, task: str) -> Picture | None:
    """ROC curves of each fold on validation, a panel a level; last, precision-recall of the folds together."""
    levels = outputs(task)
    scored = {level: _validation(source, task, level) for level in levels}
    if not any(scored.values()):
        return None
    with drawing.style():
        figure, axes = drawing.panels(*((1, 2) if len(levels) == 1 else (2, 3)))
        for panel, level in zip(axes, levels, strict=False):
            drawing.unit_square(panel, level_title(level), "1 − specificity", "Sensitivity")
            drawing.diagonal(panel)
            for i, fold in enumerate(FOLDS):
                one = scored[level].get(fold, _NOTHING)
                cell = metrics.cell(Key(task, "validation", fold, level, None, vocabulary.unit(task), "auc"))
                _roc(panel, one, i, f"Fold {fold}: {_told(cell)}")
            if not panel.get_legend_handles_labels()[0]:
                drawing.absent(panel, "not computable:\nonly one class")
            drawing.legend(panel)
        last = axes[len(levels)]
        _precision_recall_panel(last, {level: _together(folds) for level, folds in scored.items()})
        if len(levels) > 1:
            drawing.legend(last, "upper right")
        words = f"ROC curves on validation, task {task}, by level and fold; precision-recall curves"
        svg = drawing.inline(figure, f"validation-curves-{task}", words)
    caption = (
        f"{TASK_TITLES[task]}: ROC curves on validation, per {vocabulary.unit(task)}, with each fold’s AUC; last, "
        f"precision-recall, the four folds together (the small mark at the left edge is the prevalence).{_MARK}"
    )
    return Picture(f"figure-validation-{task}", svg, caption)


def test_curves(source: Source, metrics: Metrics, task: str) -> Picture | None:
    """ROC and precision-recall of the ensemble on the test set, a curve a level."""
    scored = {level: _test(source, task, level) for level in outputs(task)}
    if not any(len(one.label) for one in scored.values()):
        return None
    with drawing.style():
        figure, (first, second) = drawing.panels(1, 2, 3.0)
        drawing.unit_square(first, "ROC", "1 − specificity", "Sensitivity")
        drawing.diagonal(first)
        for i, (level, one) in enumerate(scored.items()):
            cell = metrics.cell(Key(task, "test", None, level, None, "patient", "auc"))
            _roc(first, one, i, f"{level_title(level)}: {_told(cell)}")
        if not first.get_legend_handles_labels()[0]:
            drawing.absent(first, "not computable:\nonly one class")
        drawing.legend(first)
        _precision_recall_panel(second, scored)
        words = f"ROC and precision-recall curves on the test set, task {task}"
        svg = drawing.inline(figure, f"test-curves-{task}", words)
    patients = counted(max(len(one.label) for one in scored.values()), "patient")
    caption = (
        f"{TASK_TITLES[task]}: the ensemble on the test set ({patients}), per patient. ROC with AUC, and "
        f"precision-recall (the small mark at the left edge is the prevalence).{_MARK}"
    )
    return Picture(f"figure-curves-test-{task}", svg, caption)


_MARK = " †: too few patients of one class to rely on the figure."
_NOTHING = Scored(np.zeros(0, np.int8), np.zeros(0))


def _validation(source: Source, task: str, level: str) -> dict[int, Scored]:
    table = source.arrow(
        """SELECT fold, label, probability FROM validation_predictions
           WHERE task = $task AND level = $level AND label IS NOT NULL AND isfinite(probability)""",
        "validation_predictions",
        task=task,
        level=level,
    )
    fold, label, probability = (table[name].to_numpy() for name in ("fold", "label", "probability"))
    return {int(k): Scored(label[fold == k], probability[fold == k]) for k in np.unique(fold)}


def _test(source: Source, task: str, level: str) -> Scored:
    table = source.arrow(
        """SELECT label, probability FROM test_predictions
           WHERE task = $task AND level = $level AND label IS NOT NULL AND isfinite(probability)""",
        "test_predictions",
        task=task,
        level=level,
    )
    return Scored(table["label"].to_numpy(), table["probability"].to_numpy())


def _told(cell: Cell) -> str:
    return cell.text + ("†" if cell.reason and cell.value is not None else "")


def _together(folds: dict[int, Scored]) -> Scored:
    if not folds:
        return _NOTHING
    return Scored(
        *(np.concatenate([getattr(one, name) for one in folds.values()]) for name in Scored._fields)
    )


def _line(panel: Axes, x: np.ndarray, y: np.ndarray, i: int, label: str) -> None:
    keep = drawing.kept(x, y)
    panel.plot(x[keep], y[keep], color=drawing.COLOURS[i], linestyle=drawing.DASHES[i], label=label)


def _roc(panel: Axes, one: Scored, i: int, label: str) -> None:
    if not one.lacking:
        false_positives, true_positives, _ = roc_curve(one.label, one.probability)
        _line(panel, false_positives, true_positives, i, label)


def _precision_recall_panel(panel: Axes, scored: dict[str, Scored]) -> None:
    drawing.unit_square(panel, "Precision-recall", "Recall", "Precision")
    for i, (level, one) in enumerate(scored.items()):
        if not one.lacking:
            precision, recall, _ = precision_recall_curve(one.label, one.probability)
            _line(panel, recall[:-1], precision[:-1], i, level_title(level))
            panel.plot((-0.01, 0.03), (one.label.mean(),) * 2, color=drawing.COLOURS[i], linewidth=2.4)
    if not panel.get_legend_handles_labels()[0]:
        drawing.absent(panel, "not computable:\nonly one class")


def _paper_auc(metrics: Metrics, level: str) -> float | None:
    task, table = ("presence", "abstract") if level == HNP else ("level", "5")
    return metrics.cell(Key(task, "test", None, level, None, "patient", "auc"), None, table).paper
