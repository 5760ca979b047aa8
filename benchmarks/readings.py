"""Labels from texts, against what one writes first: `python -m benchmarks.readings [--reports FILE]`.

The peer takes a sentence at a time, with a regular expression for herniation, one for levels, and a list of negations; a
sentence without a level is about the last one named. Share of texts with all five levels right, for the sets in
`tests/readings/written` that were made blind, and for real reports with our own labels where they are on this machine;
and texts a second. The labeller has since been taught what it had wrong in these sets: its own first figures stand in
`benchmarks/README.md`, and the peer's say how hard the texts are.
"""

import argparse
import csv
import re
import time
from collections.abc import Callable
from pathlib import Path

from hnp_pipeline.readings.labeller import label_reading
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

TESTS = Path(__file__).parents[1] / "tests" / "readings"
REPORTS = Path(__file__).parents[2] / "shared" / "data" / "lumbar_mri_notes" / "notes.csv"
BLIND = ("set_15", "set_16", "set_17", "set_18", "set_19", "set_20", "set_21", "set_22")
SHORT = ("12", "23", "34", "45", "51")

_SENTENCE = re.compile(r"(?<=[a-z가-힣)\]])[.;]\s*|\n")
_FOUND = re.compile(
    r"hernia|\bhnp\b|\bhivd\b|\bhld\b|protru|extru|prolaps|sequest|ruptur|탈출|돌출", re.IGNORECASE
)
_DENIED = re.compile(
    r"\bno\b|without|negative|absent|free of|not |resolved|denies|없|아님|아니|보이지 않|소실", re.IGNORECASE
)
_LEVEL = re.compile(r"(?<![a-z0-9])l?\s?([1-5])\s?[-/~–]\s?[ls]?\s?([1-5])(?!\d)", re.IGNORECASE)
_OTHER = re.compile(r"\b[ctd]\d+\s?[-/]\s?[ctld]?\d+", re.IGNORECASE)


def regular_expression(text: str) -> str:
    """As one writes it first."""
    said: set[int] = set()
    last: set[int] = set()
    found = False
    for sentence in _SENTENCE.split(text):
        lumbar = _OTHER.sub(" ", sentence)
        here: set[int] = set()
        for first, second in _LEVEL.findall(lumbar):
            above, below = int(first), 6 if second == "1" else int(second)
            here |= set(range(above, below))
        last = here or last
        if _FOUND.search(sentence) and not _DENIED.search(sentence) and (here or lumbar == sentence):
            found, said = True, said | (here or last)
    return _written(said) if said or not found else "x"


def labeller(text: str) -> str:
    levels = label_reading(text, Readings()).levels
    if None in levels.values():
        return "x"
    return _written({i for i, level in enumerate(LEVELS, 1) if levels[level]})


def _written(levels: set[int]) -> str:
    return " ".join(SHORT[i - 1] for i in sorted(levels)) or "-"


def written(name: str) -> list[tuple[str, str]]:
    lines = (TESTS / "written" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ", 1) for line in lines if " | " in line and not line.startswith(("#", "=="))]
    return [(levels.rstrip("?"), text.replace("⏎", "\n")) for levels, text in rows]


def real(file: Path) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as notes:
        texts = {row["id"]: row["reading"] for row in csv.DictReader(notes)}
    lines = (TESTS / "real_labels.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if not line.startswith("#")]
    return [(levels.rstrip("?"), texts[name]) for levels, name in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=Path, default=REPORTS, help="real reports: id, reading")
    options = parser.parse_args()
    sets = {name: written(name) for name in BLIND}
    if options.reports.exists():
        sets["real reports"] = real(options.reports)
    print(f"{'texts':14}{'':>6}{'regular expression':>20}{'labeller':>10}{'texts/s':>9}")
    for name, rows in sets.items():
        expression, _ = _right(rows, regular_expression)
        ours, seconds = _right(rows, labeller)
        print(f"{name:14}{len(rows):6}{expression:20.1%}{ours:10.1%}{len(rows) / seconds:9.0f}")


def _right(rows: list[tuple[str, str]], way: Callable[[str], str]) -> tuple[float, float]:
    """The share of texts with all levels right, and the seconds it took."""
    start = time.perf_counter()
    right = sum(way(text) == levels for levels, text in rows)
    return right / len(rows), time.perf_counter() - start


if __name__ == "__main__":
    main()
