"""The flow of radiographs and patients into the cohort, drawn as CONSORT and STARD readers know it.

Main boxes run downwards, what was excluded stands in boxes at the side, development and test side by side.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa
from markupsafe import escape

from hnp_pipeline.report.wording import ABSENT, SPLIT_TITLES, count, counted
from hnp_pipeline.vocabulary import Reason, Split

REASON_TITLES = {
    Reason.WITHDRAWN: "Patient withdrew",
    Reason.MISSING_DATA: "Missing data",
    Reason.IDENTITY_CONFLICT: "Conflicting identity",
    Reason.UNREADABLE_IMAGE: "Image cannot be read",
    Reason.UNKNOWN_VIEW: "Unknown view",
    Reason.OUTSIDE_STUDY_PERIOD: "Outside study period",
    Reason.UNDER_AGE: "Under age",
    Reason.NO_MRI_READING: "No MRI reading",
    Reason.NON_LUMBAR_READING: "No lumbar MRI reading",
    Reason.UNLABELLED_READING: "Reading without labels",
    Reason.OUTSIDE_INTERVAL: "MRI outside interval",
    Reason.SURGERY_BETWEEN: "Surgery between",
    Reason.DUPLICATE_IMAGE: "Duplicate image",
    Reason.IN_DEVELOPMENT: "Also in development",
}
# What the main box says once the rules from the box above down to this one have been asked.
STAGES = {
    Reason.UNDER_AGE: "Eligible radiographs",
    Reason.SURGERY_BETWEEN: "With a matched MRI reading",
    Reason.IN_DEVELOPMENT: "",  # the cohort, named by its split
}

WIDTH, GUTTER = 800, 24
HALF = (WIDTH - GUTTER) // 2
MAIN, SIDE = 132, 246  # widths of the two kinds of boxes; the arrow between fills the rest
LINE, PADDING, TITLE = 16, 9, 28
FONT = 11.5


class Stage(NamedTuple):
    """A main box, and what was excluded on the way to it (nothing for the first)."""

    title: str
    images: int | None
    patients: int | None
    steps: list[dict[str, Any]]


def flow_diagram(flow: pa.Table) -> str:
    """The flow diagram as one SVG element, for a page or a file.

    Args:
        flow: `cohort_flow`. A step whose counts are null is shown as a criterion that was not applied.
    """
    rows = flow.select(["split", "step", "reason", *_COUNTS]).sort_by(
        [("split", "ascending"), ("step", "ascending")]
    )
    splits = {split: list(steps) for split, steps in groupby(rows.to_pylist(), key=lambda row: row["split"])}
    columns = [_stages(splits.get(split.value, []), SPLIT_TITLES[split.value]) for split in Split]
    depth = max(len(stages) for stages in columns)
    # The two splits share their rows, so that like stands beside like.
    gaps = [
        max((_side_height(s[i].steps) for s in columns if i < len(s)), default=0) for i in range(1, depth)
    ]

    parts: list[str] = []
    bottom = 0
    for column, (split, stages) in enumerate(zip(Split, columns, strict=True)):
        drawn, height = _column(column * (HALF + GUTTER), SPLIT_TITLES[split.value], stages, gaps)
        parts += drawn
        bottom = max(bottom, height)
    label = escape(_in_words(columns))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}" role="img" '
        f'aria-label="{label}" class="flow" font-family="Helvetica, Arial, sans-serif" font-size="{FONT}" '
        'fill="#1b1f24">'
        '<defs><marker id="flow-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0.5 L7.5 4 L0 7.5 z" fill="#4a5361"/></marker></defs>'
        + "".join(parts)
        + "</svg>"
    )


_COUNTS = ("images_excluded", "patients_excluded", "images_remaining", "patients_remaining")


def _stages(rows: list[dict[str, Any]], split: str) -> list[Stage]:
    if not rows:
        return []
    first, *rules = rows
    stages = [Stage("Radiographs in the export", first["images_remaining"], first["patients_remaining"], [])]
    pending: list[dict[str, Any]] = []
    for i, row in enumerate(rules):
        pending.append(row)
        last = i == len(rules) - 1
        if last or row["reason"] in STAGES:
            title = f"{split} cohort" if last else STAGES[row["reason"]] or f"{split} cohort"
            stages.append(Stage(title, row["images_remaining"], row["patients_remaining"], pending))
            pending = []
    return stages


def _side_height(steps: list[dict[str, Any]]) -> int:
    return 2 * PADDING + LINE * (len(steps) + 1)


def _column(left: int, title: str, stages: list[Stage], gaps: list[int]) -> tuple[list[str], int]:
    """One split's boxes from `left`, and where they end."""
    height = 2 * PADDING + 4 * LINE
    parts = [_text(left, 14, title, weight=700, size=13)]
    if not stages:
        note = "No test collection yet" if title == SPLIT_TITLES["test"] else "No collection yet"
        parts += [_box(left, TITLE, MAIN, height, dashed=True), _lines(left, TITLE, MAIN, height, [note])]
        return parts, TITLE + height + 2
    top = TITLE
    middle = left + MAIN // 2
    for i, stage in enumerate(stages):
        if i:
            gap = gaps[i - 1] + 2 * PADDING
            side_top = top + PADDING
            side_left = left + HALF - SIDE
            arrow = side_top + _side_height(stage.steps) // 2
            parts += [_arrow(middle, top, middle, top + gap), _arrow(middle, arrow, side_left, arrow)]
            parts += _side(side_left, side_top, stage.steps)
            top += gap
        final = i == len(stages) - 1
        parts += [
            _box(left, top, MAIN, height, strong=final),
            _lines(left, top, MAIN, height, _main_lines(stage)),
        ]
        top += height
    return parts, top + 2


def _main_lines(stage: Stage) -> list[str]:
    words = stage.title.split()
    half = (len(words) + 1) // 2 if len(stage.title) > 22 else len(words)
    title = [" ".join(words[:half]), " ".join(words[half:])]
    return [line for line in title if line] + [_told(stage.images, "image"), _told(stage.patients, "patient")]


def _told(value: int | None, noun: str) -> str:
    return f"{ABSENT} {noun}s" if value is None else counted(value, noun)


def _side(left: int, top: int, steps: list[dict[str, Any]]) -> list[str]:
    parts = [_box(left, top, SIDE, _side_height(steps), side=True)]
    baseline = top + PADDING + LINE - 4
    total = sum(step["images_excluded"] or 0 for step in steps)
    patients = sum(step["patients_excluded"] or 0 for step in steps)
    parts.append(_text(left + PADDING, baseline, "Excluded", weight=700))
    parts.append(
        _text(
            left + SIDE - PADDING, baseline, f"{count(total)} ({count(patients)})", anchor="end", weight=700
        )
    )
    for step in steps:
        baseline += LINE
        applied = step["images_excluded"] is not None
        found = f"{count(step['images_excluded'])} ({count(step['patients_excluded'])})"
        muted = not applied or not step["images_excluded"]
        words = REASON_TITLES.get(step["reason"], str(step["reason"]).replace("_", " "))
        parts.append(_text(left + PADDING, baseline, words, muted=muted))
        found = found if applied else "criterion not applied"
        parts.append(_text(left + SIDE - PADDING, baseline, found, anchor="end", muted=muted))
    return parts


def _box(
    x: int, y: int, width: int, height: int, strong: bool = False, side: bool = False, dashed: bool = False
) -> str:
    fill = "#e8eef6" if strong else "#fbfbfa" if side else "#ffffff"
    stroke = "#1f4e79" if strong else "#a9afb8" if side or dashed else "#4a5361"
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{width - 1}" height="{height - 1}" rx="2" fill="{fill}" '
        f'stroke="{stroke}"{dash}/>'
    )


def _lines(x: int, y: int, width: int, height: int, lines: list[str]) -> str:
    """Lines in the middle of a box; all but the last two are its title."""
    top = y + (height - LINE * len(lines)) / 2 + LINE - 4
    return "".join(
        _text(
            x + width // 2, top + LINE * i, line, anchor="middle", weight=700 if i < len(lines) - 2 else 400
        )
        for i, line in enumerate(lines)
    )


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    weight: int = 400,
    size: float = FONT,
    muted: bool = False,
) -> str:
    fill = ' fill="#5f6874"' if muted else ""
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}"{fill}>'
        f"{escape(words)}</text>"
    )


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path d="M{x1} {y1} L{x2} {y2}" stroke="#4a5361" fill="none" marker-end="url(#flow-tip)"/>'


def _in_words(columns: Iterable[list[Stage]]) -> str:
    """The diagram for those who cannot see it."""
    told = []
    for split, stages in zip(Split, columns, strict=True):
        steps = [f"{s.title}: {_told(s.images, 'image')} of {_told(s.patients, 'patient')}" for s in stages]
        told.append(f"{SPLIT_TITLES[split.value]}: " + ("; ".join(steps) if steps else "no collection yet"))
    return "Flow diagram. " + ". ".join(told) + "."
