"""From attenuation to the picture that a hospital exports: exposure, noise, processing, marker."""

from dataclasses import dataclass

import cv2
import numpy as np

Bytes = np.ndarray
Reals = np.ndarray


@dataclass(frozen=True)
class Look:
    """How one hospital's machines make their pictures."""

    photons: float  # a pixel, through the middle of the patient
    blur: float  # pixels
    flatten: float  # share of the slow variation that processing takes away
    width: float  # of the window, in e-foldings
    sharpen: float
    gamma: float
    border: int  # black collimation, pixels
    letters: float  # size of the side marker, 0 none
    quality: int  # of JPEG


LOOKS = (
    Look(3000, 0.65, 0.60, 0.62, 0.5, 1.0, 0, 0.5, 90),
    Look(1500, 0.85, 0.45, 0.85, 0.2, 1.15, 5, 0.4, 92),
    Look(5000, 0.55, 0.70, 0.50, 0.7, 0.95, 0, 0.0, 88),
    Look(2200, 0.75, 0.50, 0.72, 0.4, 0.85, 9, 0.6, 90),
)


def develop(attenuation: Reals, look: Look, contrast: float, side: str, rng: np.random.Generator) -> Bytes:
    """An 8-bit picture (H, W) of an attenuation map (H, W); bone is bright."""
    height, width = attenuation.shape
    a: Reals = attenuation * (1 + 0.014 * _clouds(attenuation.shape, rng))
    a = cv2.GaussianBlur(a, (0, 0), look.blur)
    centre = float(np.median(a[height // 5 : -height // 5, width // 3 : -width // 3]))
    exposure = look.photons * np.exp(0.25 * rng.normal())
    # quantum noise of -log(counts): its variance is one over the counts
    spread = np.exp((np.clip(a, centre - 3, centre + 2) - centre) / 2) / np.sqrt(exposure)
    a += spread * rng.standard_normal(a.shape, dtype=np.float32)
    a = np.clip(a, centre - 3.5, centre + 3.5)
    small = cv2.resize(a, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    slow = cv2.resize(cv2.GaussianBlur(small, (0, 0), 5), (width, height), interpolation=cv2.INTER_LINEAR)
    a -= look.flatten * (slow - centre)
    if look.sharpen:
        a += look.sharpen * (a - cv2.GaussianBlur(a, (0, 0), 2.0))
    window = look.width / contrast * np.exp(0.08 * rng.normal())
    gray = 1 / (1 + np.exp(-(a - centre - 0.12 * rng.normal() - 0.15) / (window * 0.5)))
    picture = np.clip(255 * gray**look.gamma, 0, 255).astype(np.uint8)
    _collimate(picture, look, side, rng)
    return picture


def encode(picture: Bytes, look: Look) -> bytes:
    """The picture as a gray JPEG file."""
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, look.quality])[1])


def _clouds(shape: tuple[int, int], rng: np.random.Generator) -> Reals:
    """The unevenness of tissue: smooth noise at three scales, standard deviation about 1."""
    height, width = shape
    field = np.zeros(shape, dtype=np.float32)
    for cell, share in ((48, 0.55), (20, 0.4), (8, 0.2), (4, 0.12)):
        coarse = rng.standard_normal((height // cell + 3, width // cell + 3), dtype=np.float32)
        field += share * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return field


def _collimate(picture: Bytes, look: Look, side: str, rng: np.random.Generator) -> None:
    height, width = picture.shape
    if look.border:
        edges = rng.integers(0, look.border + 1, 4)
        picture[: edges[0]] = 4
        picture[height - edges[1] :] = 4
        picture[:, : edges[2]] = 4
        picture[:, width - edges[3] :] = 4
    if look.letters:
        x = int(rng.integers(12, 30)) if side == "R" else width - int(rng.integers(28, 46))
        y = int(rng.integers(24, 60))
        cv2.putText(picture, side, (x, y), cv2.FONT_HERSHEY_SIMPLEX, look.letters + 0.2, 235, 2, cv2.LINE_AA)
