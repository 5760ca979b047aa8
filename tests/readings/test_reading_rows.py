"""Columns filled from texts, and how far the two agree."""

import datetime

import pyarrow as pa
import pytest

from hnp_pipeline.readings.rows import compare, label_readings, label_rows
from hnp_pipeline.schemas import INTAKE_READINGS, READING_DISAGREEMENTS, schema
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

SETTINGS = Readings()


def rows(*readings: tuple[list[int | None], str | None], lumbar: bool = True) -> pa.Table:
    n = len(readings)
    levels = {k: pa.array([given[i] for given, _ in readings], pa.int8()) for i, k in enumerate(LEVELS)}
    return pa.table(
        {
            "collection": pa.array(["c"] * n, pa.string()),
            "row": pa.array(range(1, n + 1), pa.int64()),
            "patient_key": pa.array([f"p{i}" for i in range(n)], pa.string()),
            "bare_key": pa.nulls(n, pa.string()),
            "mri_date": pa.array([datetime.date(2020, 3, 1)] * n, pa.date32()),
            "lumbar": pa.array([lumbar] * n, pa.bool_()),
            **levels,
            "reading": pa.array([text for _, text in readings], pa.string()),
        }
    )


BLANK: list[int | None] = [None] * 5


def test_texts_to_columns() -> None:
    texts = pa.chunked_array([["HNP L4-5", None], ["Possible HNP L4-5", "HNP", "HNP L4-5"]])
    table = label_readings(texts, SETTINGS)
    assert table["l4_5"].to_pylist() == [1, None, 1, None, 1]
    assert table["l1_2"].to_pylist() == [0, None, 0, None, 0]
    assert table["uncertain"].to_pylist() == [False, False, True, True, False]
    assert table["evidence"].to_pylist() == [
        'l4_5: "HNP L4-5"',
        None,
        'l4_5: "Possible HNP L4-5"',
        'reading: "HNP"',
        'l4_5: "HNP L4-5"',
    ]
    assert label_readings(pa.array([], pa.string()), SETTINGS).num_rows == 0


def test_blank_levels_come_from_the_text() -> None:
    table = label_rows(
        rows(
            ([0, 0, 0, 0, 1], "HNP L4-5"),  # columns win
            (BLANK, "HNP L4-5"),
            ([0, 0, 1, None, 0], "HNP L4-5"),
            ([0, 0, 1, None, 0], None),
            (BLANK, "HNP"),
            (BLANK, None),
            ([0, 0, 1, None, 0], "HNP"),
        ),
        SETTINGS,
    )
    assert table.schema.equals(schema(INTAKE_READINGS))
    assert table["label_source"].to_pylist() == ["column", "text", "text", None, None, None, None]
    assert table["l4_5"].to_pylist() == [0, 1, 1, None, None, None, None]
    assert table["l3_4"].to_pylist() == [0, 0, 1, 1, None, None, 1]
    assert table["evidence"].to_pylist()[:4] == [None, 'l4_5: "HNP L4-5"', 'l4_5: "HNP L4-5"', None]
    assert table["evidence"].to_pylist()[4] == 'reading: "HNP"'
    assert table["uncertain"].to_pylist() == [False, False, False, False, True, False, True]


def test_evidence_is_only_of_levels_that_came_from_the_text() -> None:
    table = label_rows(rows(([None, 0, 0, 1, 0], "HNP L4-5. L1-2: no herniation.")), SETTINGS)
    assert table["evidence"].to_pylist() == ['l1_2: "L1-2: no herniation"']


def test_other_regions_stay_unlabelled() -> None:
    table = label_rows(rows((BLANK, "HNP C5-6"), lumbar=False), SETTINGS)
    assert table["label_source"].to_pylist() == [None]
    assert table["l4_5"].to_pylist() == [None]


def test_no_rows() -> None:
    assert label_rows(rows(), SETTINGS).num_rows == 0
    agreement, disagreements = compare(rows(), SETTINGS)
    assert agreement["kappa"].to_pylist() == [None] * 5
    assert disagreements.equals(schema(READING_DISAGREEMENTS).empty_table())


def test_agreement() -> None:
    both = rows(
        ([0, 0, 0, 1, 0], "HNP L4-5"),
        ([0, 0, 0, 1, 0], "HNP L4-5, L5-S1"),
        ([0, 0, 0, 0, None], "normal"),
        ([0, 0, 0, 0, 1], "HNP L5-S1"),
        (BLANK, "HNP L4-5"),  # nothing to compare
        ([0, 0, 0, 0, 1], None),
        ([0, 0, 0, 0, 1], "HNP"),  # unlabelled
    )
    agreement, disagreements = compare(both, SETTINGS)
    table = agreement.to_pylist()
    assert [(r["level"], r["n"], r["agreeing"]) for r in table] == [
        ("l1_2", 4, 4), ("l2_3", 4, 4), ("l3_4", 4, 4), ("l4_5", 4, 4), ("l5_s1", 3, 2),
    ]  # fmt: skip
    assert table[0]["kappa"] is None  # both say no of every one
    assert table[3]["kappa"] == pytest.approx(1)
    # columns 0 0 1, texts 0 1 1: observed 2/3, expected 1/3·2/3 + 2/3·1/3 = 4/9
    assert table[4]["kappa"] == pytest.approx((2 / 3 - 4 / 9) / (5 / 9))
    listed = disagreements.to_pylist()
    assert [(r["row"], r["level"], r["in_column"], r["in_text"]) for r in listed] == [(2, "l5_s1", 0, 1)]
    assert "L5-S1" in listed[0]["evidence"]
