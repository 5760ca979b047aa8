"""The study's figures beside the paper's: Tables 2 to 5, and what the paper does not tabulate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hnp_pipeline import vocabulary
from hnp_pipeline.report.cells import Cell, Key, Metrics, Notes
from hnp_pipeline.report.wording import CLASS_TITLES, METRIC_TITLES, TASK_TITLES, level_title
from hnp_pipeline.vocabulary import ALL, FOLDS, HNP, LEVELS, outputs


class Column(NamedTuple):
    """A column group: our figures, and the paper's beside them where it has any."""

    title: str
    paper: bool


class Row(NamedTuple):
    """A line: its cells, and the title of the group that it opens (with how many lines that spans)."""

    group: str
    span: int
    title: str
    cells: list[Cell]


@dataclass(frozen=True)
class Comparison:
    """A table of figures. `waiting` says why there is none yet."""

    number: str
    anchor: str
    caption: str
    columns: list[Column]
    rows: list[Row]
    notes: Notes = field(default_factory=Notes)
    remarks: Sequence[str] = ()
    waiting: str = ""

    @property
    def compared(self) -> list[Cell]:
        """The figures of which one can ask whether the paper's value lies inside our interval.

        Where the same value of the paper stands beside a figure per patient and one per image, that per patient.
        """
        cells = [cell for row in self.rows for cell in row.cells if cell.paper is not None]
        unit = "patient" if any(cell.key.unit == "patient" for cell in cells) else "image"
        return [cell for cell in cells if cell.key.unit == unit and cell.inside is not None]


class Agreement(NamedTuple):
    """How many of the paper's values can be compared and lie inside our interval; and of those not marked †."""

    figures: int
    inside: int
    reliable: int
    reliable_inside: int


def agreement(compared: Iterable[Comparison]) -> Agreement:
    """Counted over tables."""
    cells = [cell for table in compared for cell in table.compared]
    reliable = [cell for cell in cells if not cell.reason]
    return Agreement(
        len(cells), sum(bool(c.inside) for c in cells), len(reliable), sum(bool(c.inside) for c in reliable)
    )


def tables(metrics: Metrics, tasks: Iterable[str], waiting: str) -> list[Comparison]:
    """Tables 2 to 5. `waiting` is the reason why the test set's is not there, if it is not."""
    tasks = set(tasks)

    def why(task: str, split: str) -> str:
        if task not in tasks:
            return f"The task {task} is not part of this study (setting tasks)."
        if metrics.has(task, split):
            return ""
        return (
            waiting if split == "test" and waiting else "The models of this task have not been evaluated yet."
        )

    return [
        _validation(metrics, "2", "presence", _PRESENCE, why("presence", "validation"), _TABLE_2),
        _validation(metrics, "3", "level", _LEVELS, why("level", "validation"), _TABLE_3),
        _validation(metrics, "4", "multitask", _LEVELS, why("multitask", "validation"), _TABLE_4),
        _test(metrics, why("level", "test")),
    ]


def test_aucs(metrics: Metrics, number: str, tasks: Iterable[str], waiting: str) -> Comparison:
    """The ensembles' AUCs on the test set, all tasks, by patient and, where images are answered for, by image."""
    notes = Notes()
    asked = [task for task in tasks if metrics.has(task, "test")]
    columns, keys = [], []
    for task in asked:
        for unit in reversed(vocabulary.units(task)):
            columns.append(
                Column(f"{TASK_TITLES[task]}, per {unit}", paper=task == "presence" and unit == "patient")
            )
            keys.append((task, unit))
    rows = []
    for level in (*LEVELS, ALL, HNP):
        cells = [
            metrics.cell(
                Key(task, "test", None, level, None, unit, "auc"), notes, "abstract" if c.paper else ""
            )
            if level in (*outputs(task), HNP) or (level == ALL and task != "presence")
            else _no_output(task, unit, level)
            for (task, unit), c in zip(keys, columns, strict=True)
        ]
        rows.append(Row("", 0, level_title(level), cells))
    caption = "AUC of the four-model ensembles on the test set, every task."
    remarks = [
        "Presence has one output, any level. At any level, the other tasks’ score is the largest of the five."
    ]
    return Comparison(
        number, "test-auc", caption, columns, rows, notes, remarks, "" if asked else waiting or _LATER
    )


def single_models(metrics: Metrics, number: str, task: str) -> Comparison | None:
    """Each fold's model beside the ensemble and the mean over images; None if no single model was judged."""
    if not metrics.has(task, "test", single_models=True):
        return None
    notes = Notes()
    one = vocabulary.unit(task)
    ways: list[tuple[str, int | None, str]] = [(f"Model {fold}, per {one}", fold, one) for fold in FOLDS]
    ways += [(f"Ensemble, per {unit}", None, unit) for unit in vocabulary.units(task)]
    levels = (*outputs(task), ALL, HNP) if task != "presence" else (HNP,)
    rows = [
        Row("", 0, level_title(level), [
            metrics.cell(Key(task, "test", fold, level, None, unit, "auc"), notes) for _, fold, unit in ways
        ])
        for level in levels
    ]  # fmt: skip
    caption = (
        f"Task {task}: AUC on the test set of each fold’s model alone, and of their ensemble"
        f"{', also over all of a patient’s images' if one == 'image' else ''}."
    )
    return Comparison(
        number, f"single-models-{task}", caption, [Column(t, False) for t, _, _ in ways], rows, notes
    )


_LATER = "The models have not been evaluated on the test set yet."

# (group, level, class, metric)
_PRESENCE = [
    *(
        (CLASS_TITLES[c], HNP, c, metric)
        for c in ("no_hnp", "hnp")
        for metric in ("precision", "recall", "f1")
    ),
    ("Both", HNP, None, "accuracy"),
    ("Both", HNP, None, "auc"),
]
_LEVELS = [
    *(
        (level_title(level), level, None if metric == "auc" else "hnp", metric)
        for level in LEVELS
        for metric in ("precision", "recall", "f1", "auc")
    ),
    ("Mean of levels", ALL, None, "accuracy"),
    ("Mean of levels", ALL, None, "auc"),
]
_TABLE_2 = ["The paper’s accuracies do not follow from its precision and recall; they are given as printed."]
_TABLE_3 = [
    "Fold 2, L2-3: the paper prints an F1 score of 0.12; 0.21 would follow from its precision and recall.",
    "Accuracy over levels is the mean of the five levels’ accuracies, which fits the paper’s figures.",
]
_TABLE_4 = [
    "Age is an auxiliary target (or an input, by setting); figures are those of the five level outputs."
]
_TABLE_5 = [
    "The paper does not name the model of its Table 5; it is taken as the level task’s. It averages over a "
    "patient’s images for the decision, so the figures per patient are the ones to compare; those per image "
    "stand beside them."
]


def _validation(
    metrics: Metrics,
    number: str,
    task: str,
    lines: Sequence[tuple[str, str, str | None, str]],
    waiting: str,
    remarks: Sequence[str],
) -> Comparison:
    notes = Notes()
    folds: tuple[int | None, ...] = (*FOLDS, None)
    columns = [Column("Mean" if fold is None else f"Fold {fold}", paper=fold is not None) for fold in folds]
    keys = [[Key(task, "validation", fold, lv, c, "image", m) for fold in folds] for _, lv, c, m in lines]
    told = {
        "presence": "Presence of HNP at any level",
        "level": "HNP at each level",
        "multitask": "HNP at each level, learnt together with age (multitask)",
    }
    caption = f"{told[task]}: validation, per image, each fold judged by the model that has not seen it."
    rows = (
        _rows(lines, [[metrics.cell(k, notes, number) for k in row] for row in keys]) if not waiting else []
    )
    return Comparison(number, f"table-{number}", caption, columns, rows, notes, remarks, waiting)


def _test(metrics: Metrics, waiting: str) -> Comparison:
    notes = Notes()
    units = ("patient", "image")
    columns = [Column(f"Per {unit}", paper=True) for unit in units]
    keys = [[Key("level", "test", None, lv, c, unit, m) for unit in units] for _, lv, c, m in _LEVELS]
    rows = _rows(_LEVELS, [[metrics.cell(k, notes, "5") for k in row] for row in keys]) if not waiting else []
    caption = "HNP at each level: the ensemble of the four level models on the test set."
    return Comparison("5", "table-5", caption, columns, rows, notes, _TABLE_5, waiting)


def _rows(lines: Sequence[tuple[str, str, str | None, str]], cells: list[list[Cell]]) -> list[Row]:
    groups = [group for group, *_ in lines]
    return [
        Row(group, groups.count(group) if i == groups.index(group) else 0, METRIC_TITLES[metric], row)
        for i, ((group, _, _, metric), row) in enumerate(zip(lines, cells, strict=True))
    ]


def _no_output(task: str, unit: str, level: str) -> Cell:
    reason = f"the task {task} has no output for this"
    return Cell(Key(task, "test", None, level, None, unit, "auc"), None, None, None, reason)
