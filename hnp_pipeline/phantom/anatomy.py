"""One analytic lumbar spine: T12 to the sacrum, posterior elements, pelvis, ribs, soft tissue, bowel gas.

Axes of the patient: x to the patient's left, y to the front, z up; the origin is the middle of S1's end plate. mm.
"""

from dataclasses import dataclass

import numpy as np

from hnp_pipeline.phantom.projection import CYLINDER, HYPERBOLOID, Solids
from hnp_pipeline.phantom.signs import Signs

Reals = np.ndarray

# From T12 to L5: width, depth and height of the body; then from T12-L1 to L5-S1: full height and wedge of the disc.
_WIDTH = np.array([41.0, 42.5, 44.0, 46.0, 48.5, 51.0])
_DEPTH = np.array([30.0, 31.0, 32.0, 33.0, 34.0, 34.5])
_HEIGHT = np.array([25.0, 26.0, 27.0, 27.5, 27.5, 27.0])
_DISC = np.array([6.8, 8.8, 9.8, 10.6, 11.4, 11.0])
_WEDGE = np.array([0.5, 3.5, 6.0, 8.5, 12.5, 16.0])  # degrees, open to the front
_BEND = np.array([0.5, 1.0, 1.1, 1.2, 1.3, 0.9])  # share of flexion and extension

_SOFT = 0.0175  # 1/mm
_CANCELLOUS = 0.009
_CORTICAL = 0.034
_SHELL = 0.9  # mm
_PLATE = 1.1  # mm
_POSTERIOR = 0.021


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
    heights = body.size * _HEIGHT * body.body
    discs = body.size * _DISC * body.disc * np.concatenate([[0.9], signs.disc_height])
    depth = body.size * _DEPTH
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
        between = turn((tilts[i] + tilts[i + 1]) / 2, (sideways[i] + sideways[i + 1]) / 2, twist * (6 - i) * 0.4)
        across = below.axes[:, 2] + axes[:, 2]
        across /= np.linalg.norm(across)
        spaces.insert(0, Frame(top + across * discs[i] / 2, between))
        below = Frame(top + across * discs[i] + axes[:, 2] * heights[i] / 2, axes)
        top = below.centre + axes[:, 2] * heights[i] / 2
        bodies.insert(0, below)
    half = np.stack([body.size * _WIDTH / 2, depth / 2, discs / 2], axis=1)
    return Spine(bodies, spaces, sacrum, half)


def skeleton(body: Person, spine: Spine, signs: Signs) -> Solids:
    """All bone of the picture."""
    solids = Solids()
    sclerosis = np.concatenate([[0.05], signs.sclerosis])
    for i, frame in enumerate(spine.bodies):
        upper = 0.05 if i == 0 else sclerosis[i - 1]
        size = (body.size * _WIDTH[i] / 2, body.size * _DEPTH[i] / 2, body.size * _HEIGHT[i] * body.body[i] / 2)
        _vertebral_body(solids, frame, size, body.density, upper, sclerosis[i])
        _posterior_elements(solids, frame, size, body.size, body.density, i)
    _sacrum(solids, spine.sacrum, body, sclerosis[5])
    _pelvis(solids, body)
    _ribs(solids, spine.bodies[0], body)
    for k in range(1, 6):
        above = spine.bodies[k]
        below = spine.bodies[k + 1] if k < 5 else spine.sacrum
        _osteophytes(solids, above, below, k, body, float(signs.osteophyte[k - 1]))
    return solids


def _vertebral_body(
    solids: Solids,
    frame: Frame,
    half: tuple[float, float, float],
    density: float,
    upper: float,
    lower: float,
) -> None:
    a, b, h = half
    waist = 2.3 * h  # the rims stand out over the waist by a tenth
    slim = 1 / np.sqrt(1 + (h / waist) ** 2)
    outer = (a * slim, b * slim, waist)
    inner = (a * slim - _SHELL, b * slim - _SHELL, waist)
    cortical, cancellous = _CORTICAL * density, _CANCELLOUS * density
    solids.add(frame.centre, frame.axes, outer, cortical, HYPERBOLOID, -h, h)
    solids.add(frame.centre, frame.axes, inner, cancellous - cortical, HYPERBOLOID, -h + _PLATE, h - _PLATE)
    for side, grade in ((1, upper), (-1, lower)):
        # the end plate is concave: a shallow lens carved out of it
        solids.add(frame.at(0, -0.06 * b, side * h), frame.axes, (0.78 * a, 0.72 * b, 1.7), -0.5 * cancellous)
        thick, dense = 0.8 + 3.6 * grade, 0.017 * density * grade
        low, high = (h - thick, h) if side > 0 else (-h, -h + thick)
        solids.add(frame.centre, frame.axes, outer, dense, HYPERBOLOID, low, high)


def _posterior_elements(
    solids: Solids, frame: Frame, half: tuple[float, float, float], s: float, density: float, i: int
) -> None:
    b = half[1]
    bone = _POSTERIOR * density
    pedicle = (13.0, 12.5, 13.0, 14.5, 17.0, 20.5)[i] * s
    for side in (-1.0, 1.0):
        root = frame.at(side * pedicle, -b - 4 * s, 5 * s)
        solids.add(root, frame.axes, (4.8 * s, 9 * s, 7.4 * s), 1.9 * bone)
        solids.add(root, frame.axes, (3.4 * s, 9 * s, 5.9 * s), -1.9 * bone)
        superior = frame.at(side * (pedicle + 3 * s), -b - 14 * s, 13 * s)
        solids.add(superior, frame.turned(pitch=12), (4.4 * s, 4.6 * s, 9 * s), bone)
        pars = frame.at(side * (pedicle - 2 * s), -b - 17 * s, -4 * s)
        solids.add(pars, frame.turned(pitch=-10, roll=side * 8), (4.2 * s, 4 * s, 12 * s), bone)
        inferior = frame.at(side * (pedicle - 1 * s), -b - 20 * s, -17 * s)
        solids.add(inferior, frame.turned(roll=side * -8), (5 * s, 4.6 * s, 9.5 * s), bone)
        lamina = frame.at(side * 7 * s, -b - 22 * s, -5 * s)
        solids.add(lamina, frame.turned(roll=side * -25), (9 * s, 3 * s, 9 * s), 0.9 * bone)
        length = (9.0, 13.0, 16.0, 18.0, 15.0, 15.0)[i] * s
        wing = frame.at(side * (half[0] * 0.85 + length), -b - 10 * s, 4 * s)
        solids.add(wing, frame.turned(roll=side * -10), (length, 2.8 * s, 4.2 * s), 0.8 * bone)
    process = frame.at(0, -b - 36 * s, -11 * s)
    long = (13.0, 14.0, 15.0, 15.0, 14.0, 10.0)[i] * s
    solids.add(process, frame.turned(pitch=-8), (2.9 * s, long, (8.5 if i < 5 else 6.5) * s), 1.2 * bone)
    solids.add(process, frame.turned(pitch=-8), (1.6 * s, long - 1, (7.2 if i < 5 else 5.2) * s), -0.7 * bone)


def _osteophytes(solids: Solids, above: Frame, below: Frame, k: int, body: Person, length: float) -> None:
    """Spurs on the two rims of disc k: in front, and at both sides, halfway to the front."""
    s, dense = body.size, 0.024 * body.density
    for frame, width, depth, height, up in (
        (above, _WIDTH[k], _DEPTH[k], -_HEIGHT[k] * body.body[k] / 2 + 1.8, -1.0),
        (
            below,
            *(
                (_WIDTH[k + 1], _DEPTH[k + 1], _HEIGHT[k + 1] * body.body[k + 1] / 2 - 1.8, 1.0)
                if k < 5
                else (50.0, 33.0, -1.8, 1.0)
            ),
        ),
    ):
        for angle in (90.0, 20.0, 160.0, 55.0, 125.0):
            front = np.sin(np.radians(angle))
            across = np.cos(np.radians(angle))
            rim = frame.at(across * width / 2 * s, front * depth / 2 * s, height * s + up * 0.12 * length)
            axes = frame.axes @ turn(0, 0, angle) @ turn(0, -up * 14, 0)
            size = 0.8 if angle in (55.0, 125.0) else 1.0
            solids.add(rim, axes, (0.5 + size * length, 2.5 + 0.55 * length, 1.1 + 0.17 * length), dense)


def _sacrum(solids: Solids, plate: Frame, body: Person, sclerosis: float) -> None:
    s, density = body.size, body.density
    a, b = 25 * s, 16.5 * s
    cortical, cancellous = _CORTICAL * density, _CANCELLOUS * density
    centre = plate.at(0, 0, -14 * s)
    half = 14 * s
    solids.add(centre, plate.axes, (a, b, 1.0), cortical, CYLINDER, -half, half)
    solids.add(centre, plate.axes, (a - _SHELL, b - _SHELL, 1.0), cancellous - cortical, CYLINDER, -half, half - _PLATE)
    solids.add(plate.at(0, -1, 0), plate.axes, (0.75 * a, 0.7 * b, 1.5), -0.5 * cancellous)
    thick = 0.8 + 3.6 * sclerosis
    solids.add(centre, plate.axes, (a, b, 1.0), 0.017 * density * sclerosis, CYLINDER, half - thick, half)

    below = Frame(plate.at(0, -1.5 * s, -28.5 * s), plate.turned(pitch=14))
    for width, depth, height in ((21, 13, 24), (17, 10, 21), (14, 8, 18)):
        middle = below.at(0, 0, -height / 2 * s)
        h = (height / 2 - 0.8) * s
        solids.add(middle, below.axes, (width * s, depth * s, 1.0), 0.55 * cortical, CYLINDER, -h, h)
        inner = ((width - 1) * s, (depth - 1) * s, 1.0)
        solids.add(middle, below.axes, inner, cancellous - 0.55 * cortical, CYLINDER, -h + 1, h - 1)
        below = Frame(below.at(0, 0, -height * s), below.turned(pitch=16))
    for side in (-1.0, 1.0):
        ala = plate.at(side * 33 * s, -7 * s, -17 * s)
        axes = plate.turned(roll=side * 25)
        solids.add(ala, axes, (21 * s, 14 * s, 16 * s), 0.010 * density)
        solids.add(ala, axes, (19.8 * s, 13 * s, 15 * s), -0.003 * density)
        solids.add(plate.at(side * 22 * s, -26 * s, 4 * s), plate.axes, (5 * s, 4.5 * s, 9 * s), _POSTERIOR * density)
        solids.add(plate.at(side * 14 * s, -12 * s, -42 * s), plate.axes, (4 * s, 9 * s, 4 * s), -0.008)
    solids.add(plate.at(0, -27 * s, -26 * s), plate.turned(pitch=8), (5 * s, 6 * s, 24 * s), 0.013 * density)


def _pelvis(solids: Solids, body: Person) -> None:
    """The two iliac wings, thin plates from the sacroiliac joint to the front."""
    s = body.size
    for side in (-1.0, 1.0):
        along = np.array([side * 66.0, 92.0, 4.0])
        along /= np.linalg.norm(along)
        up = np.array([side * 0.30, -0.05, 1.0])
        up -= along * (up @ along)
        up /= np.linalg.norm(up)
        axes = np.stack([along, up, np.cross(along, up)], axis=1)
        centre = np.array([side * 78.0, -6.0, -34.0]) * s
        for swing, thick, share in ((0.0, 9.0, 0.5), (24.0, 7.0, 0.7), (-24.0, 7.0, 0.7)):
            blade = axes @ turn(0, swing, 0)
            solids.add(centre, blade, (64 * s, 60 * s, thick * s), share * 0.0065 * body.density)
            solids.add(centre, blade, (62 * s, 58 * s, (thick - 1.3) * s), share * -0.0025 * body.density)
        joint = np.array([side * 50.0, -34.0, -24.0]) * s
        solids.add(joint, axes, (13 * s, 26 * s, 5 * s), 0.009 * body.density)


def _ribs(solids: Solids, frame: Frame, body: Person) -> None:
    """The twelfth ribs, and the ends of the eleventh."""
    s = body.size
    for side in (-1.0, 1.0):
        for start, slope in ((2.0, 30.0), (28.0, 24.0)):
            at = frame.at(side * 24 * s, -26 * s, start * s)
            heading = np.radians(-20.0)
            for _ in range(4):
                step = np.array([side * np.cos(heading), np.sin(heading), -np.tan(np.radians(slope))])
                step /= np.linalg.norm(step)
                middle = at + step * 12 * s
                across = np.cross(step, [0.0, 0.0, 1.0])
                across /= np.linalg.norm(across)
                axes = np.stack([step, across, np.cross(step, across)], axis=1)
                solids.add(middle, axes, (16 * s, 2.6 * s, 5 * s), 0.018 * body.density)
                solids.add(middle, axes, (15.5 * s, 1.6 * s, 3.8 * s), -0.011 * body.density)
                at = at + step * 23 * s
                heading += np.radians(22.0)


def soft_tissue(body: Person, spine: Spine, bend: float, rng: np.random.Generator) -> Solids:
    """Trunk, psoas, kidneys, lungs, and the gas that happens to lie in the bowel."""
    solids = Solids()
    middle = spine.bodies[3].centre
    upright = turn(-0.25 * bend, 0, 0)
    across, deep = body.girth
    belly = middle + np.array([0.0, deep - 84.0, 0.0])
    solids.add(belly, upright, (across, deep, 1.0), _SOFT, CYLINDER)
    for side in (-1.0, 1.0):
        hip = np.array([side * 88.0, -30.0, -80.0])
        solids.add(hip, np.eye(3), (72.0, 75.0, 85.0), 0.004)
        psoas = spine.bodies[4].centre + np.array([side * 38.0, 0.0, 0.0])
        solids.add(psoas, turn(4, side * -13, 0), (17.0, 18.0, 100.0), 0.0030)
        kidney = spine.bodies[2].centre + np.array([side * 66.0, -8.0, 4.0 + 8 * side])
        solids.add(kidney, turn(0, side * -14, 0), (25.0, 19.0, 52.0), 0.0035)
        lung = spine.bodies[0].centre + np.array([side * 84.0, 5.0, 92.0])
        solids.add(lung, turn(-12, 0, 0), (72.0, 85.0, 95.0), -0.0050)
    liver = spine.bodies[1].centre + np.array([-85.0, 45.0, 18.0])
    solids.add(liver, np.eye(3), (66.0, 70.0, 62.0), 0.0022)
    for _ in range(int(rng.integers(5, 13))):
        at = middle + np.array([rng.uniform(-115, 115), rng.uniform(38, 100), rng.uniform(-125, 75)])
        for _ in range(int(rng.integers(1, 5))):
            at = at + rng.normal(0, 9, 3)
            sizes = tuple(rng.uniform(4, 15, 3))
            axes = turn(rng.uniform(0, 180), rng.uniform(0, 180), 0)
            solids.add(at, axes, (sizes[0], sizes[1], sizes[2]), -0.9 * _SOFT * rng.uniform(0.5, 1))
    return solids
