"""What is refused although it can be read: pictures that cannot be radiographs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import sklearn

from hnp_pipeline.imaging.decoding import decode_gray
from hnp_pipeline.imaging.formats import UnreadableImageError, read_header
from hnp_pipeline.imaging.plausibility import require_radiograph

SLOPE = np.add.outer(np.arange(200), np.arange(150)).clip(0, 255).astype(np.uint8)
COLOUR = np.dstack([np.roll(SLOPE, 70 * k, axis=k % 2) for k in range(3)])


def ask(pixels: np.ndarray, ending: str) -> None:
    data = cv2.imencode(ending, pixels)[1].tobytes()
    header = read_header(data, 10**8)
    require_radiograph(data, header, decode_gray(data, header))


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (SLOPE[:1, :1], "1×1 pixels"),
        (SLOPE[:63, :100], "too few"),
        (np.full((200, 200), 7, np.uint8), "one shade"),
        (COLOUR, "in colour"),
    ],
)
def test_refused(pixels, words, ending):
    with pytest.raises(UnreadableImageError, match=words):
        ask(pixels, ending)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_gray_films_pass_also_in_three_channels_tinted_or_marked(ending):
    three = np.dstack([SLOPE] * 3)
    tinted = (three * np.array([1.0, 0.7, 0.4])).astype(np.uint8)
    marked = three.copy()
    marked[:20] = (0, 0, 255)
    for pixels in (SLOPE, three, tinted, marked):
        ask(pixels, ending)


def test_real_radiographs_pass(shared):
    found = [
        p
        for p in sorted((shared / "data" / "radiographs").rglob("*"))
        if p.suffix in {".jpg", ".jpeg", ".png"}
    ]
    assert found
    for path in found[:20]:
        data = path.read_bytes()
        header = read_header(data, 10**8)
        require_radiograph(data, header, decode_gray(data, header))


def test_photographs_are_refused():
    photographs = sorted((Path(sklearn.__file__).parent / "datasets" / "images").glob("*.jpg"))
    assert len(photographs) == 2
    for path in photographs:
        data = path.read_bytes()
        header = read_header(data, 10**8)
        with pytest.raises(UnreadableImageError, match="in colour"):
            require_radiograph(data, header, decode_gray(data, header))
