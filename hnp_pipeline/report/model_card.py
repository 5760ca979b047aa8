"""The model card of one task: what its ensemble is for, how it was made, how it does; after Mitchell et al. 2019."""

from collections.abc import Iterable, Sequence
from typing import Any

from hnp_pipeline.report import confusion, markdown, population
from hnp_pipeline.report.cells import Cell, Key, Metrics, Notes, Paper
from hnp_pipeline.report.differences import BASELINE
from hnp_pipeline.report.grid import Reader, Row, Value
from hnp_pipeline.report.groups import BY, group_title
from hnp_pipeline.report.small_counts import WITHHELD, hidden
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import METRIC_TITLES, count, decimals, level_title, reason
from hnp_pipeline.study import Study
from hnp_pipeline.vocabulary import ALL, FOLDS, HNP, LEVELS, Split, outputs, unit

_FIGURES = [("auc", None), ("precision", "hnp"), ("recall", "hnp"), ("f1", "hnp"), ("accuracy", None)]
_SCALINGS = ("none", "temperature")
_DETAIL = 12  # digits of a hash


def context(source: Source, study: Study, task: str, facts: dict[str, Any]) -> dict[str, Any]:
    """What the template is given. A table is empty text where the study has nothing for it yet."""
    metrics = Metrics(source.table("metrics"), Paper())
    split = next((s for s in (Split.TEST.value, "validation") if metrics.has(task, s)), None)
    models = [m for m in facts.get("models") or [] if m.get("task") == task]
    return {
        "task": task,
        "outputs": [level_title(level) for level in outputs(task)],
        "overview": dict.fromkeys(("all", *population.SPLITS)) | population.overview(source),
        "registered": (facts.get("registered") or {}).get(task),
        "models": _models(models),
        "headline": _headline(metrics, task, split),
        "test": _figures(metrics, task, Split.TEST.value),
        "validation": _figures(metrics, task, "validation"),
        "thresholds": _thresholds(source, task),
        "groups": _groups(source, task, study.report.smallest_count),
        "calibration": {s: _calibration(source, task, s) for s in (Split.TEST.value, "validation")},
        "baseline": {s: _baseline(source, task, s) for s in (Split.TEST.value, "validation")},
        "leads": {s: _leads(source, task, s) for s in (Split.TEST.value, "validation")},
        "sparse": population.few_positives(source, study.evaluation.few_patients),
    }


def _levels(task: str) -> tuple[str, ...]:
    return (HNP,) if task == "presence" else (*LEVELS, ALL, HNP)


def _headline(metrics: Metrics, task: str, split: str | None) -> dict[str, Any] | None:
    """The one figure that the card opens with: the mean AUC over the levels, or that at any level."""
    if split is None:
        return None
    of = "patient" if split == Split.TEST else unit(task)
    level = HNP if task == "presence" else ALL
    cell = metrics.cell(Key(task, split, None, level, None, of, "auc"))
    return {"split": split, "unit": of, "level": level, "cell": cell, "text": _printed(cell)}


def _figures(metrics: Metrics, task: str, split: str) -> dict[str, str]:
    """A table a unit (patient, image): every figure by level with its interval; only of units that have figures."""
    made = {}
    for of in ("patient", "image"):
        notes = Notes()
        keys = [
            [Key(task, split, None, level, class_, of, metric) for metric, class_ in _FIGURES]
            for level in _levels(task)
        ]
        cells = [[metrics.cell(key, notes) for key in line] for line in keys]
        if all(cell.reason == "not computed yet" for line in cells for cell in line):
            continue
        body = [
            [level_title(level), *map(_printed, line)]
            for level, line in zip(_levels(task), cells, strict=True)
        ]
        columns = ["Level", *(METRIC_TITLES[metric] for metric, _ in _FIGURES)]
        made[of] = _with_notes(markdown.table(columns, body), notes)
    return made


def _thresholds(source: Source, task: str) -> str:
    body = []
    for row in confusion.threshold_table(source, (task,)):
        of = [row["folds"].get(fold) for fold in FOLDS]
        known = [value for value in of if value is not None]
        mean = sum(known) / len(known) if known else None
        body.append([level_title(row["level"]), *(decimals(v, 3) for v in (*of, mean))])
    return markdown.table(["Level", *(f"Fold {fold}" for fold in FOLDS), "Mean"], body)


def _groups(source: Source, task: str, smallest: int) -> str:
    """By group: patients, AUC and the decisions' figures at any level; small groups withheld."""
    rows = source.rows(
        "SELECT * FROM subgroups WHERE unit = 'patient' AND task = $task AND (class IS NULL OR class = 'hnp')",
        "subgroups",
        task=task,
    )
    notes = Notes()
    asked = [(HNP, "auc"), (HNP, "precision"), (HNP, "recall")]
    asked = asked if task == "presence" else [(ALL, "auc"), *asked]
    reader = Reader("subgroups", ("by", "group", "task", "level", "class", "unit", "metric"), notes)
    found = {(r["by"], r["group"], r["level"], r["metric"]): r for r in rows}
    sizes = {(r["by"], r["group"]): r["patients"] for r in rows}
    body: list[Sequence[object]] = []
    for by, title in BY.items():
        of = {group: patients for (kind, group), patients in sizes.items() if kind == by}
        gone = hidden(list(of.values()), smallest)
        for (group, patients), out in zip(of.items(), gone, strict=True):
            if not out:
                cells = [_value(reader, found.get((by, group, *key)), "value") for key in asked]
                body.append([f"{title}: {group_title(by, group)}", count(patients), *cells])
        if any(gone):
            body.append([f"{title}: {count(sum(gone))} more", *[WITHHELD] * (1 + len(asked))])
    columns = [
        "Group",
        "Patients",
        *(f"{METRIC_TITLES[metric]}, {level_title(level).lower()}" for level, metric in asked),
    ]
    return _with_notes(markdown.table(columns, body), notes)


def _calibration(source: Source, task: str, split: str) -> str:
    rows = source.rows(
        "SELECT * FROM calibration WHERE task = $task AND split = $split AND unit = 'patient'",
        "calibration",
        task=task,
        split=split,
    )
    notes = Notes()
    reader = Reader("calibration", ("task", "split", "scaling", "unit", "level"), notes)
    found = {(row["level"], row["scaling"]): row for row in rows}
    body = []
    for level in _levels(task):
        plain, scaled = (found.get((level, scaling)) for scaling in _SCALINGS)
        if plain and scaled:
            ends = ("ci_low", "ci_high")
            of = (plain, scaled)
            cells = [_text(reader.number(row, "brier", 3, ends=ends, noted=True)) for row in of]
            cells += [_text(reader.number(row, "ece", 3, noted=True)) for row in of]
            body.append([level_title(level), *cells, _text(reader.number(scaled, "temperature"))])
    columns = ["Level", "Brier score", "Brier score, scaled", "ECE", "ECE, scaled", "Temperature"]
    return _with_notes(markdown.table(columns, body), notes)


def _baseline(source: Source, task: str, split: str) -> str:
    rows = _in_order(
        source,
        "comparisons",
        "first = $task AND second = $other AND split = $split AND unit = 'patient'",
        task=task,
        other=BASELINE,
        split=split,
    )
    notes = Notes()
    reader = Reader("comparisons", ("split", "first", "second", "unit", "level"), notes)
    ends = ("ci_low", "ci_high")
    body = [
        [
            level_title(row["level"]),
            _text(reader.number(row, "auc_first")),
            _text(reader.number(row, "auc_second")),
            _text(reader.number(row, "difference", signed=True, ends=ends, noted=True)),
            _text(reader.probability(row)),
        ]
        for row in rows
    ]
    columns = ["Level", "AUC of the models", "AUC of age and sex", "Difference", "p"]
    return _with_notes(markdown.table(columns, body), notes)


def _leads(source: Source, task: str, split: str) -> str:
    rows = _in_order(
        source, "level_lead", "task = $task AND split = $split AND unit = 'patient'", task=task, split=split
    )
    notes = Notes()
    reader = Reader("level_lead", ("task", "split", "unit", "level"), notes)
    body = [[level_title(row["level"]), _value(reader, row, "lead", signed=True)] for row in rows]
    return _with_notes(markdown.table(["Level", "Lead in AUC over the other four"], body), notes)


def _models(models: Iterable[dict[str, Any]]) -> str:
    body = [
        [
            f"Fold {m['fold']}",
            count(m["images"]["train"]),
            count(m["images"]["validation"]),
            f"{m['best_epoch']} of {m['epochs']}",
            decimals(m["validation_auc"]),
            m["model_sha256"][:_DETAIL],
        ]
        for m in sorted(models, key=lambda m: m["fold"])
    ]
    columns = ["Model", "Trained on", "Validated on", "Best epoch", "Its mean AUC", "SHA-256 of the weights"]
    return markdown.table(columns, body)


def _in_order(source: Source, name: str, where: str, **values: Any) -> list[Row]:
    order = (*LEVELS, ALL, HNP)
    rows = source.rows(f"SELECT * FROM {name} WHERE {where}", name, **values)
    return sorted(rows, key=lambda row: order.index(row["level"]))


def _value(reader: Reader, row: Row | None, column: str, *, signed: bool = False) -> str:
    if row is None:
        return decimals(None)
    ends = ("ci_low", "ci_high")
    return _text(reader.number(row, column, signed=signed, ends=ends, noted=True))


def _text(value: Value) -> str:
    return f"{value.text}{value.mark}" + (f" ({value.interval})" if value.interval else "")


def _printed(cell: Cell) -> str:
    return f"{cell.text}{cell.mark}" + (f" ({cell.interval})" if cell.interval else "")


def _with_notes(table: str, notes: Notes) -> str:
    """A table and the reasons of what it cannot tell."""
    told: list[str] = [
        f"{mark}: not computed: {markdown.text(reason(r))}." for r, mark in notes.absent.items()
    ]
    if notes.unreliable:
        told.append("†: not reliable, too few patients of one class.")
    return "\n\n".join([table, *told]) if table else ""
