"""What surrounds the spine: trunk, psoas, kidneys, liver, lungs, and gas in the bowel."""

import numpy as np

from hnp_pipeline.phantom.anatomy import Person, Spine, turn
from hnp_pipeline.phantom.projection import CYLINDER, Solids

_SOFT = 0.0175  # attenuation, 1/mm


def soft_tissue(body: Person, spine: Spine, bend: float, rng: np.random.Generator) -> Solids:
    """All soft tissue; the gas lies where it happens to."""
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
    for _ in range(int(rng.integers(3, 8))):
        at = middle + np.array([rng.uniform(-115, 115), rng.uniform(38, 100), rng.uniform(-125, 75)])
        for _ in range(int(rng.integers(1, 5))):
            at = at + rng.normal(0, 9, 3)
            sizes = tuple(rng.uniform(4, 15, 3))
            axes = turn(rng.uniform(0, 180), rng.uniform(0, 180), 0)
            solids.add(at, axes, (sizes[0], sizes[1], sizes[2]), -0.7 * _SOFT * rng.uniform(0.4, 1))
    return solids
