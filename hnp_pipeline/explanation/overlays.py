"""Heat maps laid over their radiographs, for people to look at."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

_SIDE = 448  # pixels: smaller pictures are enlarged to about this, so that the caption can be read


def heat_image(heat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map (h, w) of 0 to 1 at the picture's size, bilinear: uint8 (H, W)."""
    large = cv2.resize(heat.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.rint(255 * np.clip(large, 0, 1)).astype(np.uint8)


def overlay(
    picture: np.ndarray, heat: np.ndarray, caption: str, correct: bool | None, notice: str | None = None
) -> np.ndarray:
    """A radiograph under its heat, with a caption below on green (right), red (wrong) or gray (not known).

    Cold places show the radiograph as it is, the hottest half of it.

    Args:
        picture: gray uint8 (H, W).
        heat: uint8 (H, W), 255 the hottest.
        caption: ASCII, since OpenCV's font has no other letters; it names no patient.
        correct: whether the model was right.
        notice: a second line, ASCII too.

    Returns:
        uint8 (H', W', 3), BGR as OpenCV writes it.
    """
    scale = max(1, round(_SIDE / max(picture.shape)))
    gray = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    hot = cv2.resize(heat, gray.shape[::-1], interpolation=cv2.INTER_LINEAR)
    share = (hot / 510).astype(np.float32)[..., None]
    colour = cv2.applyColorMap(hot, cv2.COLORMAP_TURBO)
    mixed = np.rint((1 - share) * gray[..., None] + share * colour).astype(np.uint8)
    lines = [_strip(words, mixed.shape[1], correct) for words in (caption, notice) if words]
    return np.vstack([mixed, *lines])


def _strip(caption: str, width: int, correct: bool | None) -> np.ndarray:
    colour = {True: (60, 110, 30), False: (40, 40, 160), None: (90, 90, 90)}[correct]
    size, font = 0.62, cv2.FONT_HERSHEY_SIMPLEX
    (wide, high), _ = cv2.getTextSize(caption, font, size, 1)
    size *= min(1, (width - 12) / wide)
    strip = np.full((high + 16, width, 3), colour, np.uint8)
    cv2.putText(strip, caption, (6, high + 8), font, size, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def contact_sheet(overlays: Sequence[np.ndarray], columns: int = 15, width: int = 200) -> np.ndarray:
    """Many overlays on one sheet in reading order, each `width` pixels wide: uint8 (H, W, 3).

    Raises:
        ValueError: there is nothing to show.
    """
    if not overlays:
        raise ValueError("a contact sheet of no pictures")
    small = [
        cv2.resize(o, (width, round(width * o.shape[0] / o.shape[1])), interpolation=cv2.INTER_AREA)
        for o in overlays
    ]
    columns = min(columns, len(small))
    height = max(s.shape[0] for s in small)
    sheet = np.zeros((math.ceil(len(small) / columns) * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(small):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + picture.shape[0], x : x + width] = picture
    return sheet
