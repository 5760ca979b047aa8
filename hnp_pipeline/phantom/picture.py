"""One radiograph: a patient's spine in a view, with its discs' places in the picture."""

from dataclasses import dataclass

import numpy as np

from hnp_pipeline.phantom.anatomy import Person, Spine, assemble, turn
from hnp_pipeline.phantom.bones import skeleton
from hnp_pipeline.phantom.film import LOOKS, Bytes, develop
from hnp_pipeline.phantom.projection import Camera, attenuation
from hnp_pipeline.phantom.signs import signs
from hnp_pipeline.phantom.tissue import soft_tissue

Reals = np.ndarray

HEIGHT, WIDTH = 384, 288  # pixels
_SPACING = 0.69  # mm a pixel


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


def radiograph(
    body: Person, severity: Reals, view: str, hospital: int, rng: np.random.Generator
) -> Radiograph:
    """The picture of a patient with severities (5,) in a view, by the machines of a hospital (0 to 3)."""
    position = _POSITIONS[view]
    shown = signs(severity)
    bend = position.bend * (1 + 0.2 * rng.normal())
    spine = assemble(body, shown, position.curve, bend)
    camera = _aim(spine, position, body.lean, rng)
    solids = skeleton(body, spine, shown)
    solids.rows += soft_tissue(body, spine, bend, rng).rows
    shadow = np.maximum(attenuation(solids, camera), 0)
    marker = "R" if view in ("AP", "RO") else "L"
    pixels = develop(shadow, LOOKS[hospital], position.contrast, marker, rng)

    centres = np.stack([disc.centre for disc in spine.discs[1:]])
    discs, magnification = camera.pixel(centres)
    axes = np.stack([disc.axes for disc in spine.discs[1:]])  # (5, 3, 3)
    # an ellipsoid's shadow reaches as far as the root of its half axes' squared shadows
    reach = np.einsum("nij,ik->njk", axes, camera.axes[:, :2]) * spine.half_sizes[1:, :, None]
    sizes = 2 * np.sqrt((reach**2).sum(1)) * magnification[:, None] / camera.spacing
    return Radiograph(pixels, discs, sizes)


def _aim(spine: Spine, position: _Position, lean: float, rng: np.random.Generator) -> Camera:
    """A camera that looks at the middle of the lumbar spine, never quite as it should."""
    yaw = position.yaw + 3.0 * rng.normal()
    tilt = 1.5 * rng.normal()
    if abs(position.yaw) == 90:  # leaning to the front shows from the side
        tilt -= position.lean + lean + rng.normal()
    tube = np.radians(position.tube + 2.0 * rng.normal())
    beam = np.array([0.0, -np.cos(tube), np.sin(tube)])  # from the front, before the patient turns
    right = np.array([1.0, 0.0, 0.0])
    axes = np.stack([right, np.cross(beam, right), beam], axis=1)
    middle = (spine.discs[0].centre + spine.sacrum.centre) / 2
    return Camera(
        target=middle,
        axes=turn(0, 0, yaw).T @ axes @ turn(0, 0, tilt),
        distance=1100.0,
        spacing=_SPACING * (1 + 0.015 * rng.normal()),
        shape=(HEIGHT, WIDTH),
        principal=(WIDTH * 0.5 + 5 * rng.normal(), HEIGHT * 0.46 + 4 * rng.normal()),
    )
