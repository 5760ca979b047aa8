"""Heat on the named disc: what a map with one bright box gives can be said beforehand."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hnp_pipeline import schemas
from hnp_pipeline.errors import StepError
from hnp_pipeline.explanation.localisation import localise
from hnp_pipeline.study import Evaluation, Imaging
from hnp_pipeline.vocabulary import LEVELS

SETTINGS = Evaluation(bootstrap_draws=200)


def discs(width: int, height: int, images: list[str]) -> pa.Table:
    """Five discs, one above the other: a tenth of the width and of the height each."""
    columns: dict = {"image_id": images}
    for i, level in enumerate(LEVELS):
        box = {"x": width * 0.5, "y": height * (0.15 + 0.15 * i), "width": width / 10, "height": height / 10}
        columns |= {f"{level}_{k}": [v] * len(images) for k, v in box.items()}
    return pa.table(columns)


def maps(home: Path, heats: list[np.ndarray], levels: list[str], width: int, height: int) -> pa.Table:
    n = len(heats)
    for i, heat in enumerate(heats):
        cv2.imwrite(str(home / f"{i}.png"), heat)
    return pa.table(
        {
            "task": ["level"] * n,
            "rank": list(range(n)),
            "image_id": [f"a/{i}" for i in range(n)],
            "level": levels,
            "heatmap": [f"{i}.png" for i in range(n)],
            "patient_key": [f"p{i}" for i in range(n)],
            "width": [width] * n,
            "height": [height] * n,
        }
    )


def bright(level: int, size: int = 100) -> np.ndarray:
    """All the heat on one disc of a picture stretched to a square."""
    heat = np.zeros((size, size), np.uint8)
    middle = round(size * (0.15 + 0.15 * level))
    heat[middle - 5 : middle + 5, 45:55] = 200
    return heat


def test_all_heat_on_the_named_disc_none_on_it_and_even_heat(tmp_path):
    heats = [bright(2), bright(3), np.full((100, 100), 9, np.uint8)]
    rows = maps(tmp_path, heats, ["l3_4", "l3_4", "l4_5"], width=300, height=400)
    table = localise(rows, discs(300, 400, ["a/0", "a/1", "a/2"]), tmp_path, Imaging(size=100), SETTINGS)
    assert table.schema.equals(schemas.schema(schemas.LOCALISATION))
    by_level = {row["level"]: row for row in table.to_pylist()}
    assert set(by_level) == {"l3_4", "l4_5", "all"}
    one, even, whole = by_level["l3_4"], by_level["l4_5"], by_level["all"]
    assert (one["maps"], one["patients"], one["share"], one["hits"]) == (2, 2, 0.5, 0.5)
    assert one["other_discs"] == pytest.approx((0 + 1 / 4) / 2)
    assert one["nearest"] == 0.5 and one["other_chance"] == pytest.approx(0.01)
    assert one["ci_low"] == 0 and one["ci_high"] == 1
    assert even["share"] == pytest.approx(even["chance"]) == pytest.approx(0.01)
    assert whole["maps"] == 3 and whole["share"] == pytest.approx((1 + 0 + 0.01) / 3)
    assert whole["reason"] == "interval unreliable: 3 positive patients"
    enough = SETTINGS.model_copy(update={"few_patients": 3})
    again = localise(rows, discs(300, 400, ["a/0", "a/1", "a/2"]), tmp_path, Imaging(size=100), enough)
    assert [row["reason"] is None for row in again.to_pylist()] == [False, False, True]


def test_padded_pictures_have_their_margins_counted(tmp_path):
    heat = np.zeros((100, 100), np.uint8)
    heat[40:50, 46:54] = 200  # the third disc of a picture of 300 by 400: 75 pixels wide, 12 to the left
    rows = maps(tmp_path, [heat], ["l3_4"], width=300, height=400)
    padded = Imaging(size=100, aspect="pad")
    row = localise(rows, discs(300, 400, ["a/0"]), tmp_path, padded, SETTINGS).to_pylist()[0]
    assert row["share"] == 1.0 and row["hits"] == 1.0 and row["nearest"] == 1.0


def test_where_no_disc_is_known_there_is_nothing_to_say(tmp_path):
    rows = maps(tmp_path, [bright(2), bright(2)], ["l3_4", "hnp"], 300, 400)
    assert (
        localise(rows, discs(300, 400, ["a/1", "b/9"]), tmp_path, Imaging(size=100), SETTINGS).num_rows == 0
    )


def test_a_map_that_is_gone_is_one_clear_error(tmp_path):
    rows = maps(tmp_path, [bright(2)], ["l3_4"], 300, 400)
    (tmp_path / "0.png").unlink()
    with pytest.raises(StepError, match="materialise gradcam again"):
        localise(rows, discs(300, 400, ["a/0"]), tmp_path, Imaging(size=100), SETTINGS)
