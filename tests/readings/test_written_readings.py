"""The labeller against written texts, each phenomenon of design 4 on its own."""

import random
import re
from pathlib import Path

import pytest

from hnp_pipeline.readings.labeller import label_reading
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

SHORT = dict(zip(LEVELS, ("12", "23", "34", "45", "51"), strict=True))


def cases() -> list:
    found = []
    for path in sorted((Path(__file__).parent / "written").glob("*.txt")):
        name, rows = "", []
        for line in [*path.read_text(encoding="utf-8").splitlines(), "== end"]:
            if line.startswith("== "):
                if rows:
                    found.append(pytest.param(rows, id=f"{path.stem}: {name}"))
                name, rows = line[3:], []
            elif line and not line.startswith("#"):
                levels, text = line.split(" | ", 1)
                rows.append((levels, text.replace("⏎", "\n")))
    return found


def said(text: str, settings: Readings) -> str:
    labels = label_reading(text, settings)
    if None in labels.levels.values():
        assert set(labels.levels.values()) == {None}
        return "x"
    levels = " ".join(SHORT[k] for k in LEVELS if labels.levels[k]) or "-"
    return levels + "?" * labels.uncertain


@pytest.mark.parametrize("rows", cases())
def test_phenomenon(rows: list[tuple[str, str]]) -> None:
    wrong = [
        (want, got, text) for want, text in rows if (got := said(text, Readings())) != want.replace("x?", "x")
    ]
    assert not wrong, "\n".join(f"want {want}, got {got}: {text}" for want, got, text in wrong)


def test_there_are_enough() -> None:
    assert sum(len(c.values[0]) for c in cases()) > 1000


# Texts that speak of more than the levels they name, or of other readings: not to be put together with others.
WIDE = re.compile(
    r"⏎|\b(?:all|others?|remaining|every|each|elsewhere|otherwise|both|five|same|rest|c-spine|cervical|thoracic|only|entire"
    r"|throughout|none of|normal|unremarkable|clinical|history|indication|reason|exam|provided|request|h/o|above|below)\b|lumbar:"
    r"|전 요추|모든|나머지|다른|경추|흉추|제외|외|전체|임상|병력|주소|의뢰|과거력|수술력|증상|목적|[dh]x|comp|previous study"
    r"|referr|chief|rule out|addendum|정정|similar to|identical to|[와과] (?:비슷|동일)",
    re.IGNORECASE,
)


def test_two_texts_together_say_what_each_says() -> None:
    every = [row for case in cases() for row in case.values[0]]
    alone = [
        (want.rstrip("?"), text)
        for want, text in every
        if "x" not in want and "\n" not in text and not WIDE.search(text)
    ]
    assert len(alone) > 800
    chance = random.Random(2022)
    wrong = []
    for _ in range(1500):
        (want, one), (also, other) = chance.choice(alone), chance.choice(alone)
        text = one.rstrip(" .") + chance.choice((". ", "\n", ".\n", "\n- ")) + other
        both = " ".join(v for v in SHORT.values() if v in want.split() + also.split()) or "-"
        if said(text, Readings()).rstrip("?") != both:
            wrong.append((both, text))
    assert not wrong


def test_bulging_counts_if_it_is_set_to() -> None:
    text = "L3-4: bulging disc. L4-5: protrusion. No bulging at L5-S1."
    assert said(text, Readings()) == "45"
    assert said(text, Readings(bulging_is_herniation=True)) == "34 45"
    assert said("L4-5 추간판 팽윤", Readings(bulging_is_herniation=True)) == "45"
    assert said("Bulges at all levels but L1-2.", Readings(bulging_is_herniation=True)) == "23 34 45 51"


def test_each_label_keeps_its_words() -> None:
    labels = label_reading("L4-5:\nThere is a Central Protrusion.\nL5-S1: no herniation.", Readings())
    assert labels.evidence["l4_5"] == "L4-5: There is a Central Protrusion"
    assert "no herniation" in labels.evidence["l5_s1"]
    assert "l1_2" not in labels.evidence
    assert labels.words == 'l4_5: "L4-5: There is a Central Protrusion"; l5_s1: "L5-S1: no herniation"'


def test_why_a_reading_is_unlabelled() -> None:
    for text in (" \n", "판독 없음", "Report pending", "Not read.", "미 판독", "N/A"):
        assert label_reading(text, Readings()).flags == ("empty",), text
    assert label_reading("판독 소견: 이상 없음", Readings()).levels["l4_5"] == 0
    no_level = label_reading("Disc herniation with root compression.", Readings())
    assert no_level.flags == ("no level",) and no_level.uncertain
    assert no_level.evidence == {"reading": "Disc herniation with root compression"}
    sixth = label_reading("L5-6 protrusion.", Readings())
    assert sixth.flags == ("transitional",) and sixth.uncertain


@pytest.mark.parametrize("text", ["(", "-", "?" * 500, "L" * 4000, "4-5-" * 400, "L4-5, " * 500, "no " * 2000, "ﷺ" * 50,
                                  "İL4-5 HNP", "L4-5 HNP\x00", "(-) (+) (-)", "except except", "and L4-5 and", "L4-5 respectively", " " * 20000, "\n" * 20000, "disc protrusion " * 500])  # fmt: skip
def test_any_text_is_read(text: str) -> None:
    assert set(label_reading(text, Readings()).levels) == set(LEVELS)
