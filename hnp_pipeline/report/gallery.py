"""Heat maps for the page: which are shown, their pictures made small, what all of them amount to."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnp_pipeline.report.cells import Notes
from hnp_pipeline.report.grid import Grid, Reader, Value, grouped
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import TASK_TITLES, count, level_title
from hnp_pipeline.vocabulary import ALL, LEVELS

_PRODUCED = "gradcam"


@dataclass(frozen=True)
class Plate:
    """One heat map: its row of `gradcam`, and the picture as a data address (empty where it is missing)."""

    row: dict[str, Any]
    picture: str


@dataclass(frozen=True)
class Gallery:
    """Heat maps of one task."""

    task: str
    total: int
    counts: list[dict[str, Any]]  # by level: pairs, with herniation, right
    highest: list[Plate]
    wrong: list[Plate]


def gallery(source: Source, tasks: tuple[str, ...], home: Path, shown: int, pictures: bool) -> Gallery | None:
    """The most probable pairs of the main task, and the most probable among those that the model got wrong.

    A third of the room goes to the errors: a reader learns more from them.

    Args:
        source: with the table `gradcam`.
        tasks: of the study. The level task's maps are shown if there are any, else another's.
        home: the folder that `file` in the table is relative to; nothing outside it is opened.
        shown: how many pictures at most.
        pictures: False keeps every patient's picture out; counts stay.
    """
    having = {row["task"] for row in source.rows("SELECT DISTINCT task FROM gradcam", _PRODUCED)}
    task = next((t for t in ("level", *tasks) if t in having and t in tasks), None)
    if task is None:
        return None
    counts = source.rows(
        """SELECT level, count(*) AS pairs, count(*) FILTER (label = 1) AS herniated,
                  count(*) FILTER (correct = 1) AS correct
           FROM gradcam WHERE task = $task GROUP BY level""",
        _PRODUCED,
        task=task,
    )
    order = {level: i for i, level in enumerate(LEVELS)}
    counts.sort(key=lambda row: order.get(row["level"], len(LEVELS)))
    rows = source.rows("SELECT * FROM gradcam WHERE task = $task ORDER BY rank", _PRODUCED, task=task)
    highest, wrong = _chosen(rows, shown if pictures else 0)
    return Gallery(
        task=task,
        total=len(rows),
        counts=counts,
        highest=[Plate(row, _picture(home, row["file"])) for row in highest],
        wrong=[Plate(row, _picture(home, row["file"])) for row in wrong],
    )


def localisation(source: Source, tasks: tuple[str, ...]) -> Grid | None:
    """How much of the heat falls on the named disc; None where nobody knows where the discs are."""
    rows = [row for row in source.table("localisation").to_pylist() if row["task"] in tasks]
    if not rows:
        return None
    notes = Notes()
    reader = Reader("localisation", ("task", "level"), notes)
    lines: list[tuple[str, str, Sequence[Value | str]]] = [
        (
            TASK_TITLES[row["task"]],
            "All levels" if row["level"] == ALL else level_title(row["level"]),
            [
                count(row["maps"]),
                count(row["patients"]),
                reader.number(row, "share", 3, ends=("ci_low", "ci_high"), noted=True),
                reader.number(row, "chance", 3),
                reader.number(row, "other_discs", 3, noted=True),
                reader.number(row, "other_chance", 3),
                reader.number(row, "nearest", noted=True),
                reader.number(row, "hits", noted=True),
            ],
        )
        for row in rows
    ]
    columns = ["Maps", "Patients", "Heat on the named disc", "Its share of the picture"]
    columns += ["Heat on another disc", "Its share of the picture"]
    columns += ["Hottest place nearest to the named disc", "Hottest place on it"]
    caption = (
        "Where the heat falls, for positive images whose discs are known: mean share of a map’s heat on the "
        "named disc, with its interval, beside that disc’s share of the picture (a herniated disc is thin), and the "
        "same as the mean of the other four discs; the share of maps whose hottest place is nearer to the named disc "
        "than to any other (0.20 by chance), and of those where it lies on it."
    )
    return Grid("localisation", caption, columns, grouped(lines), notes=notes)


def _chosen(rows: list[dict[str, Any]], shown: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The highest, and further down the highest wrong ones."""
    errors = [row for row in rows if row["correct"] == 0]
    for_errors = min(shown // 3, len(errors))
    highest = rows[: shown - for_errors]
    taken = {row["rank"] for row in highest}
    return highest, [row for row in errors if row["rank"] not in taken][:for_errors]


def _picture(home: Path, name: str | None, width: int = 300, quality: int = 82) -> str:
    """A picture in the home as a small JPEG without metadata, base64; empty where there is none.

    A path out of the home, also by a link, counts as none.
    """
    import cv2
    import numpy as np

    path = (home / (name or "")).resolve()
    if not path.is_relative_to(home.resolve()) or not path.is_file():
        return ""
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return ""
    height = round(image.shape[0] * width / image.shape[1])
    if image.shape[1] > width:
        image = cv2.resize(image, (width, max(1, height)), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii") if done else ""
