import datetime

import pytest

from hnp_pipeline.report.cells import Cell, Key, Notes, Paper, unreliable_note
from hnp_pipeline.report.differences import Finding
from hnp_pipeline.report.grid import Reader
from hnp_pipeline.report.wording import (
    count,
    counted,
    day,
    interval,
    listed,
    per_unit,
    reason,
    rounded,
    share,
)

AUC = Key("level", "test", None, "l1_2", None, "patient", "auc")


def test_rounds_as_the_paper_does():
    assert rounded(0.725) == "0.72" or rounded(0.725) == "0.73"  # binary: either neighbour
    assert rounded(0.7) == "0.70"
    assert rounded(0.6234, "accuracy") == "62.3%"
    assert rounded(None) == "–"
    assert interval(0.681, 0.759) == "0.68–0.76"
    assert interval(0.6, 0.7049, "accuracy") == "60.0–70.5%"
    assert interval(None, 0.5) == ""


def test_counts_shares_and_dates():
    assert count(162256) == "162,256"
    assert count(None) == "–"
    assert [counted(1, "patient"), counted(2, "patient"), counted(0, "patient")] == [
        "1 patient",
        "2 patients",
        "0 patients",
    ]
    assert [share(1, 3), share(0, 0), share(None, 2)] == ["33.3", "–", "–"]
    assert day(datetime.date(2021, 2, 28)) == "28 February 2021"
    assert [listed([]), listed("a"), listed("ab"), listed("abc")] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("interval unreliable: 7 positive patients", "7 positive patients"),
        (
            "null at l1_2: no positive image; at l5_s1: no image",
            "at L1-2: no positive image; at L5-S1: no image",
        ),
        ("no positive patient", "no positive patient"),
    ],
)
def test_reasons_for_people(raw, told):
    assert reason(raw) == told


def test_the_papers_value_inside_ends_included():
    inside = [Cell(AUC, 0.7, low, high, None, paper=0.68).inside for low, high in ((0.68, 0.7), (0.6, 0.68))]
    assert inside == [True, True]
    assert Cell(AUC, 0.7, 0.681, 0.75, None, paper=0.68).inside is False
    assert Cell(AUC, 0.7, None, None, None, paper=0.68).inside is None
    assert Cell(AUC, 0.7, 0.6, 0.8, None).inside is None


def test_footnotes():
    notes = Notes()
    assert [notes.mark(None, "x"), notes.mark(None, "y"), notes.mark(None, "x")] == ["a", "b", "a"]
    assert [notes.mark(0.5, "few"), notes.mark(0.5, None)] == ["†", ""]
    assert notes.unreliable == ["few"]
    assert [notes.mark(None, str(i)) for i in range(30)][-5:] == ["ab", "ac", "ad", "ae", "af"]
    assert "few; fewer" in unreliable_note(["few", "fewer"])
    assert "few; " not in unreliable_note(["few"] * 9)


def test_the_paper():
    paper = Paper()
    assert paper.value("5", None, "l3_4", None, "auc") == 0.63
    assert paper.value("2", 2, "hnp", None, "accuracy") == 0.588
    assert paper.value("2", 3, "hnp", "no_hnp", "recall") == 0.7
    assert paper.value("abstract", None, "hnp", None, "auc") == 0.73
    assert paper.value("3", None, "l1_2", None, "auc") is None
    folds = [sum(paper.value("1", k, "l4_5", c, "images") for c in ("hnp", "no_hnp")) for k in range(4)]
    assert folds == [40691, 40588, 40371, 40606]


def test_what_tasks_answer_for():
    assert per_unit(["level", "presence"]) == "per image"
    assert per_unit(["multiview"]) == "per patient"
    assert per_unit(["multiview", "level"]) == "per image (Multiview: per patient)"


@pytest.mark.parametrize(
    ("low", "high", "reason", "verdict"),
    [
        (0.1, 0.3, None, "more"),
        (-0.3, -0.1, None, "less"),
        (-0.1, 0.3, None, "open"),
        (0.1, 0.3, "interval unreliable: 3 positive patients", "few"),
        (-0.1, 0.3, "interval unreliable: 3 positive patients", "few"),
        (None, None, "no interval: too many bootstrap draws lack a class", "few"),
    ],
)
def test_what_a_difference_allows_to_say(low, high, reason, verdict):
    row = {
        "level": "all",
        "difference": 0.2,
        "ci_low": low,
        "ci_high": high,
        "p_value": None,
        "reason": reason,
    }
    reader = Reader("comparisons", ("level",))
    difference = reader.number(row, "difference", signed=True, ends=("ci_low", "ci_high"), noted=True)
    assert Finding("level", row, difference, reader.probability(row)).verdict == verdict


def test_a_p_value_is_as_doubtful_as_its_row():
    row = {"level": "l1_2", "p_value": 0.006, "reason": "interval unreliable: 2 positive patients"}
    reader = Reader("comparisons", ("level",), Notes())
    assert (reader.probability(row).text, reader.probability(row).mark) == ("0.006", "†")
    assert reader.probability(row | {"p_value": None}).mark == ""  # the mean over levels has none to doubt
