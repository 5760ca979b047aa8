"""A patient's lumbar spine: sizes, curves, and where its bodies and discs stand.

In mm. Axes: x to the patient's left, y to the front, z up; the origin is the middle of S1's end plate.
"""

from dataclasses import dataclass

import numpy as np

from hnp_pipeline.phantom.signs import Signs

Reals = np.ndarray

# From T12 to L5: width, depth and height of the body; from T12-L1 to L5-S1: height and wedge of the disc.
WIDTH = np.array([41.0, 42.5, 44.0, 46.0, 48.5, 51.0])
DEPTH = np.array([30.0, 31.0, 32.0, 33.0, 34.0, 34.5])
HEIGHT = np.array([25.0, 26.0, 27.0, 27.5, 27.5, 27.0])
_DISC = np.array([6.8, 8.8, 9.8, 10.6, 11.4, 11.0])
_WEDGE = np.array([0.5, 3.5, 6.0, 8.5, 12.5, 16.0])  # degrees, open to the front
_BEND = np.array([0.5, 1.0, 1.1, 1.2, 1.3, 0.9])  # share of flexion and extension


@dataclass(frozen=True)
class Person:
    """What stays the same in every picture of a patient. It tells nothing about the labels."""

    size: float  # scale of the skeleton
    girth: tuple[float, float]  # half axes of the trunk, mm, sideways and front to back
    lordosis: float  # share of the mean
    scoliosis: tuple[float, float, float]  # amplitude in degrees, phase, twist
    density: float  # of bone
    disc: Reals  # (6,) each disc's own height, share of the mean
    body: Reals  # (6,) each body's own height
    lean: float  # degrees


def person(sex: str, age: float, rng: np.random.Generator) -> Person:
    """Draw a body for a sex (`M`, `F`) and an age in years."""
    weight = rng.normal()
    return Person(
        size=(1.03 if sex == "M" else 0.97) * (1 + 0.025 * rng.normal()),
        girth=(150 + 9 * weight + 4 * rng.normal(), 100 + 11 * weight + 4 * rng.normal()),
        lordosis=float(np.clip(1 + 0.15 * rng.normal(), 0.6, 1.4)),
        scoliosis=(3.0 * rng.normal(), rng.uniform(0, 2 * np.pi), 2.0 * rng.normal()),
        density=float(np.clip(1.12 - 0.0035 * (age - 45) + 0.08 * rng.normal(), 0.6, 1.5)),
        disc=1 + 0.03 * rng.normal(size=6),
        body=1 + 0.02 * rng.normal(size=6),
        lean=2.5 * rng.normal(),
    )


@dataclass(frozen=True)
class Frame:
    """A place and the directions left, front, up there."""

    centre: Reals  # (3,)
    axes: Reals  # (3, 3), directions as columns

    def at(self, x: float, y: float, z: float) -> Reals:
        """The point with these coordinates in this frame."""
        return self.centre + self.axes @ np.array([x, y, z])

    def turned(self, pitch: float = 0.0, roll: float = 0.0, yaw: float = 0.0) -> Reals:
        """This frame's directions turned by degrees: forward, to the left, about its own up."""
        return self.axes @ turn(pitch, roll, yaw)


@dataclass(frozen=True)
class Spine:
    """Bodies from T12 to L5, discs from T12-L1 to L5-S1, the sacrum's end plate."""

    bodies: list[Frame]
    discs: list[Frame]
    sacrum: Frame
    half_sizes: Reals  # (6, 3) of the discs, mm


def turn(pitch: float, roll: float, yaw: float) -> Reals:
    """A rotation (3, 3) by degrees: up leans to the front by pitch, to the left by roll; yaw about up."""
    p, r, w = np.radians([pitch, roll, yaw])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    about_z = np.array([[np.cos(w), -np.sin(w), 0], [np.sin(w), np.cos(w), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def assemble(body: Person, signs: Signs, curve: float = 1.0, bend: float = 0.0) -> Spine:
    """Stack the spine from the sacrum up.

    Args:
        body: the patient.
        signs: of the five discs L1-2 to L5-S1.
        curve: share of the lordosis that the position leaves.
        bend: degrees of extension (negative: flexion) of a segment.
    """
    heights = body.size * HEIGHT * body.body
    discs = body.size * _DISC * body.disc * np.concatenate([[0.9], signs.disc_height])
    depth = body.size * DEPTH
    # a disc opens only as far as its rear edge allows
    most = np.degrees((discs - 0.8) / (depth / 2))
    wanted = _WEDGE * body.lordosis * curve + bend * _BEND
    wedges = most * np.tanh(wanted / most)

    tilts = np.zeros(7)  # from T12 to S1, how far up leans to the front
    for i in range(5, -1, -1):
        tilts[i] = tilts[i + 1] - wedges[i]
    tilts += 0.57 * wedges.sum()
    amplitude, phase, twist = body.scoliosis
    sideways = amplitude * (np.sin(np.arange(7) * 0.9 + phase) - np.sin(6 * 0.9 + phase))

    sacrum = Frame(np.zeros(3), turn(tilts[6], sideways[6] * 0.3, 0))
    bodies: list[Frame] = []
    spaces: list[Frame] = []
    below = sacrum
    top = sacrum.centre
    for i in range(5, -1, -1):
        axes = turn(tilts[i], sideways[i], twist * (6 - i) * 0.4)
        between = turn(
            (tilts[i] + tilts[i + 1]) / 2, (sideways[i] + sideways[i + 1]) / 2, twist * (6 - i) * 0.4
        )
        across = below.axes[:, 2] + axes[:, 2]
        across /= np.linalg.norm(across)
        spaces.insert(0, Frame(top + across * discs[i] / 2, between))
        below = Frame(top + across * discs[i] + axes[:, 2] * heights[i] / 2, axes)
        top = below.centre + axes[:, 2] * heights[i] / 2
        bodies.insert(0, below)
    half = np.stack([body.size * WIDTH / 2, depth / 2, discs / 2], axis=1)
    return Spine(bodies, spaces, sacrum, half)
