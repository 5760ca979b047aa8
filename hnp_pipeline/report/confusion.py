"""Confusion tables: what the models said against what the MRI readings say, in counts."""

from typing import Any

from hnp_pipeline.report.source import Source
from hnp_pipeline.vocabulary import outputs

_COUNTS = """count(*) FILTER (predicted = 1 AND label = 1) AS true_positive,
             count(*) FILTER (predicted = 1 AND label = 0) AS false_positive,
             count(*) FILTER (predicted = 0 AND label = 1) AS false_negative,
             count(*) FILTER (predicted = 0 AND label = 0) AS true_negative,
             count(*) FILTER (predicted IS NULL) AS undecided"""


def test_confusion(source: Source, tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """The ensembles' decisions on test patients, a row a task and level in the study's order."""
    rows = source.rows(
        f"SELECT task, level, {_COUNTS} FROM test_predictions GROUP BY ALL", "test_predictions"
    )
    return _ordered(rows, tasks)


def validation_confusion(source: Source, tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """Each fold's decisions on its validation images at its own threshold, the folds together."""
    rows = source.rows(
        f"""WITH decided AS (
                SELECT p.task, p.level, p.label, (p.probability >= t.threshold)::INT AS predicted
                FROM validation_predictions p LEFT JOIN thresholds t USING (task, fold, level))
            SELECT task, level, {_COUNTS} FROM decided GROUP BY ALL""",
        "validation_predictions",
        "thresholds",
    )
    return _ordered(rows, tasks)


def threshold_table(source: Source, tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """The thresholds, a row a task and level, the folds in `folds`."""
    rows = source.rows(
        """SELECT task, level, map_from_entries(list((fold, threshold))) AS folds
           FROM thresholds GROUP BY ALL""",
        "thresholds",
    )
    return _ordered([{**row, "folds": dict(row["folds"])} for row in rows], tasks, derived=True)


def _ordered(
    rows: list[dict[str, Any]], tasks: tuple[str, ...], derived: bool = False
) -> list[dict[str, Any]]:
    found = {(row["task"], row["level"]): row for row in rows}
    levels = {task: outputs(task) + (("hnp",) if derived and task != "presence" else ()) for task in tasks}
    return [found[key] for task in tasks for level in levels[task] if (key := (task, level)) in found]
