"""One radiograph: a patient's spine in a view, with its discs' places in the picture."""

from dataclasses import dataclass

import numpy as np

from hnp_pipeline.phantom.anatomy import Person, assemble, skeleton, soft_tissue, turn
from hnp_pipeline.phantom.film import LOOKS, Bytes, develop
from hnp_pipeline.phantom.projection import Camera, attenuation
from hnp_pipeline.phantom.signs import signs

Reals = np.ndarray

HEIGHT, WIDTH = 384, 288  # pixels
_SPACING = 0.765  # mm a pixel


@dataclass(frozen=True)
class _Position:
    """How the patient stands or lies to the beam."""

    yaw: float  # degrees from AP, about the long axis
    tube: float  # degrees that the beam points upwards
    curve: float  # share of the lordosis
    bend: float  # degrees of extension a segment
    lean: float  # degrees to the front
    contrast: float


_POSITIONS = {
    "AP": _Position(0, 9, 0.62, 0, 0, 1.0),
    "LAT": _Position(90, 0, 0.95, 0, 3, 0.62),
    "LO": _Position(42, 6, 0.7, 0, 0, 0.85),
    "RO": _Position(-42, 6, 0.7, 0, 0, 0.85),
    "FLEX": _Position(90, 0, 0.9, -5.5, 15, 0.62),
    "EXT": _Position(90, 0, 1.0, 2.8, 0, 0.62),
}


@dataclass(frozen=True)
class Radiograph:
    """A picture and where its discs are."""

    pixels: Bytes  # (H, W) uint8
    discs: Reals  # (5, 2) middle of L1-2 to L5-S1, pixels (x, y)
    sizes: Reals  # (5, 2) width and height of the box around each disc, pixels


def radiograph(body: Person, severity: Reals, view: str, hospital: int, rng: np.random.Generator) -> Radiograph:
    """Take the picture of a patient with these severities (5,) in a view, by the machines of a hospital (0 to 3)."""
    position = _POSITIONS[view]
    shown = signs(severity)
    bend = position.bend * (1 + 0.2 * rng.normal())
    spine = assemble(body, shown, position.curve, bend)

    # the beam comes from the front in AP, from the patient's right in LAT
    yaw = position.yaw + 3.0 * rng.normal()
    lean = position.lean + body.lean + 1.0 * rng.normal()
    stance = turn(0, 0, yaw) @ turn(0, 0, 0)
    tube = position.tube + 2.0 * rng.normal()
    beam = np.array([0.0, -np.cos(np.radians(tube)), np.sin(np.radians(tube))])
    right = np.array([1.0, 0.0, 0.0])
    axes = np.stack([right, np.cross(right, -beam) * 1.0, beam], axis=1)
    axes[:, 1] *= np.sign(axes[2, 1])
    axes = stance.T @ axes
    roll = np.radians(1.5 * rng.normal() - (lean if abs(position.yaw) == 90 else 0.0))
    right, up = axes[:, 0].copy(), axes[:, 1].copy()
    axes[:, 0] = np.cos(roll) * right + np.sin(roll) * up
    axes[:, 1] = -np.sin(roll) * right + np.cos(roll) * up

    ends = np.stack([spine.discs[0].centre, spine.sacrum.centre])
    camera = Camera(
        target=ends.mean(0),
        axes=axes,
        distance=1100.0,
        spacing=_SPACING * (1 + 0.025 * rng.normal()),
        shape=(HEIGHT, WIDTH),
        principal=(WIDTH * 0.5 + 7 * rng.normal(), HEIGHT * 0.46 + 6 * rng.normal()),
    )
    solids = skeleton(body, spine, shown)
    solids.rows += soft_tissue(body, spine, bend, rng).rows
    side = "R" if view in ("AP", "RO") else "L"
    pixels = develop(np.maximum(attenuation(solids, camera), 0), LOOKS[hospital], position.contrast, side, rng)

    centres = np.array([f.centre for f in spine.discs[1:]])
    discs, magnification = camera.pixel(centres)
    reach = np.array([(np.abs(f.axes.T @ camera.axes[:, :2]) * h[:, None]) for f, h in
                      zip(spine.discs[1:], spine.half_sizes[1:], strict=True)])
    sizes = 2 * np.sqrt((reach**2).sum(1)) * magnification[:, None] / camera.spacing
    return Radiograph(pixels, discs, sizes)
