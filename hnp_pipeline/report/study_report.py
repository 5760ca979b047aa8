"""The study report: one HTML file that opens offline, from the study's tables (design 5, 8, 14)."""

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hnp_pipeline import tables as storage
from hnp_pipeline import vocabulary
from hnp_pipeline.report import comparison, confusion, figures, population, wording
from hnp_pipeline.report import differences as paired
from hnp_pipeline.report.cells import Cell, Key, Metrics, Paper, unreliable_note
from hnp_pipeline.report.flow import flow_diagram
from hnp_pipeline.report.gallery import gallery, localisation
from hnp_pipeline.report.grid import Value
from hnp_pipeline.report.groups import groups
from hnp_pipeline.report.source import Source, shipped
from hnp_pipeline.report.specificity import Specificity, specificity
from hnp_pipeline.report.templating import environment
from hnp_pipeline.report.usefulness import usefulness
from hnp_pipeline.study import Study, dump_study
from hnp_pipeline.vocabulary import ALL, FOLDS, HNP, LEVELS, Split

# The facts that have their own place on the page; others that are one value each are listed as they are.
KNOWN_FACTS = (
    *("study", "created", "versions", "git", "settings_hash", "development_set", "mlflow", "roles"),
    *("label_disagreements", "notes"),
)


def write_report(tables: Path, study: Study, facts: dict[str, Any], home: Path, out: Path) -> None:
    """Write the report of a study to `out`, atomically.

    The page fetches nothing, runs nothing and escapes what came from data. Same input, same bytes.

    Args:
        tables: folder with `<name>.parquet` of `schemas.TABLES`; a table that is missing counts as empty.
        study: the settings, shown in full.
        facts: what the tables do not hold. All keys may be missing: `study` (name), `created` (ISO time),
            `versions` (name → version), `git` (commit), `settings_hash`, `development_set` (hash),
            `mlflow` (list of {task, name, url}), `roles` (collection → role), `label_disagreements` (patients
            whose images differ in label), `notes` (warnings to print). Any other plain value is listed.
        home: what the file names in `gradcam` are relative to.
        out: the HTML file.

    Raises:
        OSError: `out` cannot be written.
    """
    with Source(tables) as source:
        context = _context(source, study, facts, home)
    storage.write_text(
        environment(
            html=True,
            share=wording.share,
            rounded=wording.rounded,
            day=wording.day,
            unreliable=unreliable_note,
        )
        .get_template("report.html.jinja")
        .render(context),
        out,
    )


def _context(source: Source, study: Study, facts: dict[str, Any], home: Path) -> dict[str, Any]:
    paper = Paper()
    metrics = Metrics(source.table("metrics"), paper)
    overview = population.overview(source)
    waiting = "" if Split.TEST.value in overview else "Waiting for a test collection."
    tasks = study.tasks
    compared = comparison.tables(metrics, tasks, waiting)
    headlines, differences, levels = (
        _headlines(metrics, tasks),
        paired.differences(source, tasks),
        specificity(source, tasks),
    )
    return {
        "study": study,
        "facts": dict.fromkeys(KNOWN_FACTS) | facts,
        "created": _created(facts.get("created")),
        "other_facts": {
            k: v for k, v in facts.items() if k not in KNOWN_FACTS and isinstance(v, str | int | float)
        },
        "notes": _texts(facts.get("notes")),
        "overview": dict.fromkeys(("all", *population.SPLITS)) | overview,
        "waiting": waiting,
        "answers_for": {vocabulary.unit(task) for task in tasks},
        "confidence": f"{study.evaluation.confidence * 100:g}%",
        "headlines": headlines,
        "doubtful": _doubtful(headlines, differences, levels),
        "compared": compared,
        "agreement": comparison.agreement(compared),
        "characteristics": population.characteristics(source),
        "deliveries": population.deliveries(source, facts.get("roles") or {}),
        "folds": population.fold_table(source),
        "paper_fold": lambda fold, level, class_: _whole(paper.value("1", fold, level, class_, "images")),
        "sparse": population.few_positives(source, study.evaluation.few_patients),
        "flow": Markup(flow_diagram(source.table("cohort_flow"))),
        "pictures": _pictures(source, metrics, tasks),
        "test_aucs": comparison.test_aucs(metrics, "", tasks, waiting),
        "single_models": [t for task in tasks if (t := comparison.single_models(metrics, "", task))],
        "averaging": paired.averaging(source, tasks),
        "differences": differences,
        "specificity": levels,
        "groups": groups(source, tasks),
        "usefulness": usefulness(source, tasks),
        "localisation": localisation(source, tasks),
        "thresholds": confusion.threshold_table(source, tasks),
        "validation_confusion": confusion.validation_confusion(source, tasks),
        "test_confusion": confusion.test_confusion(source, tasks),
        "gallery": gallery(source, tasks, home, study.report.gallery, study.report.pictures),
        "settings": dump_study(study),
        "checklist": _checklist(bool(waiting), study.report.pictures),
        "levels": LEVELS,
        "fold_numbers": FOLDS,
        "numbering": Numbering(),
    }


class Numbering:
    """Numbers in the order of appearance; the paper's five tables keep their own."""

    def __init__(self) -> None:
        self._tables = self._figures = 0

    def table(self) -> str:
        """The next table that the paper does not have: S1, S2, …"""
        self._tables += 1
        return f"S{self._tables}"

    def figure(self) -> int:
        """The next figure."""
        self._figures += 1
        return self._figures


def _headlines(metrics: Metrics, tasks: Iterable[str]) -> list[dict[str, Any]]:
    """Each evaluated task's AUC over the levels and at any level, on the test set where there is one."""
    found = []
    for task in tasks:
        split = next((s for s in ("test", "validation") if metrics.has(task, s)), None)
        if split is None:
            continue
        unit = "patient" if split == "test" else vocabulary.unit(task)

        def auc(level: str, task: str = task, split: str = split, unit: str = unit) -> Cell:
            return metrics.cell(Key(task, split, None, level, None, unit, "auc"))

        by_level = [cell for level in LEVELS if (cell := auc(level)).value is not None]
        found.append(
            {
                "task": task,
                "split": split,
                "unit": unit,
                "mean": None if task == "presence" else auc(ALL),
                "any": auc(HNP),
                "lowest": min(by_level, key=_value, default=None),
                "highest": max(by_level, key=_value, default=None),
            }
        )
    return found


def _doubtful(
    headlines: list[dict[str, Any]], differences: paired.Differences | None, levels: Specificity | None
) -> bool:
    """Whether a figure of the summary rests on too few patients."""
    shown: list[Cell | Value] = [
        cell for headline in headlines for cell in headline.values() if isinstance(cell, Cell)
    ]
    shown += [finding.difference for finding in differences.findings] if differences else []
    shown += levels.overall.values() if levels else []
    return any(figure.value is not None and figure.reason for figure in shown)


def _pictures(source: Source, metrics: Metrics, tasks: tuple[str, ...]) -> dict[str, Any]:
    split = "test" if any(metrics.has(task, "test") for task in tasks) else "validation"
    drawn = {
        "overview": [figures.overview(metrics, tasks, split)],
        "validation": [figures.validation_curves(source, metrics, task) for task in tasks],
        "test": [figures.test_curves(source, metrics, task) for task in tasks],
    }
    return {place: [picture for picture in pictures if picture] for place, pictures in drawn.items()}


def _checklist(waiting: bool, pictures: bool) -> list[dict[str, str]]:
    """The reporting checklist; what depends on a test set or on pictures says how it stands with them."""
    items = shipped("checklist.csv")
    for item in items:
        if item["status"] in ("test", "pictures"):
            item["status"] = "waiting" if waiting else "report"
            if not pictures and item["section"] == "heatmaps":
                item["note"] = (item["note"] + "; pictures are turned off").removeprefix("; ")
    return items


def _created(value: object) -> str:
    try:
        moment = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        return str(value or "")
    return f"{wording.day(moment.date())}, {moment:%H:%M}{f' {moment:%Z}' if moment.tzinfo else ''}"


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


def _value(cell: Cell) -> float:
    return -1.0 if cell.value is None else cell.value


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
