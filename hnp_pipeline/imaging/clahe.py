"""From a decoded radiograph to the pixels that the network sees (paper, section 2.2)."""

import threading

import cv2
import numpy as np

from hnp_pipeline.imaging.area import shrink
from hnp_pipeline.imaging.decoding import LARGE_PIXELS
from hnp_pipeline.study import Imaging


def prepare(gray: np.ndarray, settings: Imaging) -> np.ndarray:
    """CLAHE and resizing, in the order that the settings say: uint8 (H, W) → uint8 (size, size).

    Contrast-limited adaptive histogram equalisation after Zuiderveld (Graphics Gems IV, 1994), by OpenCV.
    With `turn_inverted`, a film with a white background is turned first.
    """
    return prepare_and_tell(gray, settings)[0]


def prepare_and_tell(gray: np.ndarray, settings: Imaging) -> tuple[np.ndarray, bool]:
    """`prepare`, and whether the film was turned."""
    turned = settings.turn_inverted and is_inverted(gray)
    if turned:
        gray = cv2.bitwise_not(gray)
    if settings.clahe_order == "before_resize":
        pixels = _resize(_equalise(gray, settings), settings)
    else:
        pixels = _equalise(_resize(gray, settings), settings)
    return _pad(pixels, settings.size), turned


def reduction(width: int, height: int, settings: Imaging) -> int:
    """By how much a JPEG of this size may be shrunk while it is decoded: 2, or 1 for not at all.

    Half-size decoding is nearly free of loss (45 dB and more against full decoding) where three times the
    target is there on both sides and CLAHE's tiles stay large, which 1,400 pixels see to. Below either, CLAHE
    answers to the other noise: 41 dB at twice the target, 34 dB for pictures of 400 pixels, which cost little
    anyway. A quarter is never as good (40 dB).
    """
    enough = min(width, height) >= max(3 * settings.size, 1400)
    return 2 if settings.reduced_decoding and enough else 1


def is_inverted(gray: np.ndarray) -> bool:
    """Whether a film has a white background: bones dark, air bright.

    Air lies at the borders, to the sides most of all. So three differences are added, each of which changes
    its sign when the film is turned: white less black in the border, border less middle, sides less middle.
    """
    small = cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small, [1, 99])
    if high - low < 8:  # an empty picture has no background
        return False
    small = np.clip((small - low) / (high - low), 0, 1)
    inner = np.zeros((64, 64), bool)
    inner[3:-3, 3:-3] = True
    border, middle = small[~inner], small[inner]
    sides = np.concatenate([small[:, :3], small[:, -3:]])
    white_less_black = np.mean(border > 0.85) - np.mean(border < 0.15)
    score = white_less_black + np.median(border) - np.median(middle) + sides.mean() - middle.mean()
    return bool(score > 0)


class _Kept(threading.local):
    """CLAHE keeps histograms and a padded copy in its object: threads must not share one.

    A thread that makes one anew for each picture has the kernel clear its memory again each time: 7 % of all.
    """

    settings: tuple[float, int] | None = None
    clahe: cv2.CLAHE


_kept = _Kept()


def _equalise(gray: np.ndarray, settings: Imaging) -> np.ndarray:
    wanted = (settings.clahe_clip_limit, settings.clahe_tiles)
    if _kept.settings != wanted:
        _kept.clahe = cv2.createCLAHE(settings.clahe_clip_limit, (settings.clahe_tiles, settings.clahe_tiles))
        _kept.settings = wanted
    pixels = _kept.clahe.apply(gray)
    if gray.size > LARGE_PIXELS:
        _kept.clahe.collectGarbage()  # of so large a picture no copy is kept
    return pixels


def _resize(gray: np.ndarray, settings: Imaging) -> np.ndarray:
    """To the target; with `pad`, so that the longer side fits it."""
    width = height = settings.size
    if settings.aspect == "pad":
        scale = settings.size / max(gray.shape)
        height, width = (max(1, round(side * scale)) for side in gray.shape)
    return shrink(gray, width, height)


def _pad(pixels: np.ndarray, size: int) -> np.ndarray:
    """Black on both sides, up to the square."""
    height, width = pixels.shape
    if height == width == size:
        return pixels
    top, left = (size - height) // 2, (size - width) // 2
    return cv2.copyMakeBorder(
        pixels, top, size - height - top, left, size - width - left, cv2.BORDER_CONSTANT, value=(0.0,)
    )
