"""Levels as reports write them."""

import pytest

from hnp_pipeline.readings.english import distance
from hnp_pipeline.readings.levels import find_mentions
from hnp_pipeline.readings.normalisation import normalise


@pytest.mark.parametrize(
    ("text", "discs"),
    [
        ("L4-5", [4]), ("L4/L5", [4]), ("L 4 - 5", [4]), ("L45", [4]), ("L5S1", [5]), ("L5-1", [5]), ("L4∼5", [4]),
        ("Ｌ４－５", [4]), ("L4·5", [4]), ("L4,5 disc", [4]), ("L5 S1", [5]), ("lumbar 4-5", [4]),
        ("L3-4, 4-5", [3, 4]), ("L3/4/5", [3, 4]), ("L3-S1", [3, 4, 5]), ("L1-2 to L3-4", [1, 2, 3]),
        ("L4-5-S1", [4, 5]), ("from L2 to L5", [2, 3, 4]), ("L1-2/L3-4", [1, 3]), ("L3/4-L5/S1", [3, 4, 5]),
        ("L4-l5 L5-S1", [4, 5]), ("L2/L3,L3/L4&L5/S1", [2, 3, 5]), ("3-4, 4-5 level", [3, 4]), ("L23-L3", [2]),
        ("all lumbar levels", [1, 2, 3, 4, 5]), ("lumbosacral junction", [5]), ("last two levels", [4, 5]),
        ("between the fourth and fifth lumbar vertebrae", [4]),
        ("요추 4-5번", [4]), ("제4-5요추간", [4]), ("요추 4번과 5번 사이", [4]), ("제5요추-제1천추", [5]),
        ("제3-4, 4-5 요추간", [3, 4]), ("요천추간", [5]), ("모든 레벨", [1, 2, 3, 4, 5]), ("L3-4부터 L5-S1까지", [3, 4, 5]),
        ("요추 5 천추 1", [5]), ("L5-S1도", [5]),
        ("T12-L1", []), ("D12/L1", []), ("C5-6", []), ("C4-5, 5-6", []), ("S1-2", []), ("T11-L2", [1]),
        ("4-5 mm", []), ("04/05/2016", []), ("grade 4-5", []), ("L4 and L5 bodies", []), ("T1 and T2 weighted", []),
        ("L3/4. L5/S1", [3, 5]),
    ],
)  # fmt: skip
def test_levels(text: str, discs: list[int]) -> None:
    mentions, sixth = find_mentions(normalise(text).lower())
    assert sorted({d for m in mentions for d in m.lumbar}) == discs
    assert not sixth


@pytest.mark.parametrize(
    "text", ["L5-6", "L6", "L6-S1", "L5/L6", "제6요추", "요추 6번", "six lumbar-type vertebrae"]
)
def test_sixth_lumbar_vertebra(text: str) -> None:
    assert find_mentions(text.lower())[1]


def test_distance_counts_a_swap_once() -> None:
    assert distance("herination", "herniation", 2) == 1
    assert distance("protrusion", "protrusion", 2) == 0
    assert distance("protrotion", "protrusion", 2) == 2
    assert distance("abc", "abcdef", 2) == 3
