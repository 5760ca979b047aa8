"""The bones as solids: vertebral bodies, posterior elements, osteophytes, sacrum, pelvis, ribs."""

import numpy as np

from hnp_pipeline.phantom.anatomy import DEPTH, HEIGHT, WIDTH, Frame, Person, Spine, turn
from hnp_pipeline.phantom.projection import CYLINDER, HYPERBOLOID, Solids
from hnp_pipeline.phantom.signs import Signs

# attenuation beyond that of soft tissue, 1/mm; thicknesses in mm
_CANCELLOUS = 0.009
_CORTICAL = 0.034
_SHELL = 0.9  # mm
_PLATE = 0.7  # mm
_POSTERIOR = 0.021


def skeleton(body: Person, spine: Spine, signs: Signs) -> Solids:
    """All bone of the picture."""
    solids = Solids()
    sclerosis = np.concatenate([[0.05], signs.sclerosis])
    for i, frame in enumerate(spine.bodies):
        upper = 0.05 if i == 0 else sclerosis[i - 1]
        a, b, h = body.size * np.array([WIDTH[i], DEPTH[i], HEIGHT[i] * body.body[i]]) / 2
        _vertebral_body(solids, frame, (a, b, h), body.density, upper, sclerosis[i])
        _posterior_elements(solids, frame, (a, b, h), body.size, body.density, i)
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
        thick, dense = 0.8 + 7.0 * grade, 0.032 * density * grade
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
        solids.add(root, frame.axes, (4.8 * s, 9 * s, 7.4 * s), 1.6 * bone)
        solids.add(root, frame.axes, (3.4 * s, 9 * s, 5.9 * s), -1.6 * bone)
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
    s, dense = body.size, 0.034 * body.density
    for frame, width, depth, height, up in (
        (above, WIDTH[k], DEPTH[k], -HEIGHT[k] * body.body[k] / 2 + 1.8, -1.0),
        (
            below,
            *(
                (WIDTH[k + 1], DEPTH[k + 1], HEIGHT[k + 1] * body.body[k + 1] / 2 - 1.8, 1.0)
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
    solids.add(
        centre,
        plate.axes,
        (a - _SHELL, b - _SHELL, 1.0),
        cancellous - cortical,
        CYLINDER,
        -half,
        half - _PLATE,
    )
    solids.add(plate.at(0, -1, 0), plate.axes, (0.75 * a, 0.7 * b, 1.5), -0.5 * cancellous)
    thick = 0.8 + 7.0 * sclerosis
    solids.add(centre, plate.axes, (a, b, 1.0), 0.032 * density * sclerosis, CYLINDER, half - thick, half)

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
        solids.add(
            plate.at(side * 22 * s, -26 * s, 4 * s), plate.axes, (5 * s, 4.5 * s, 9 * s), _POSTERIOR * density
        )
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
