"""What herniation shows on a radiograph: what degeneration shows. Every sign is strictly monotone in severity."""

from dataclasses import dataclass

import numpy as np

Reals = np.ndarray


@dataclass(frozen=True)
class Signs:
    """The visible signs of some discs, arrays of one shape."""

    disc_height: Reals  # share of the disc's own full height that is left, falling
    osteophyte: Reals  # mm that the rims of the two vertebrae stand out, rising
    sclerosis: Reals  # 0 to 1: how dense and thick the two end plates are, rising


def signs(severity: Reals) -> Signs:
    """The signs of discs by their severity (0 is the mean of the healthy, in their standard deviations)."""
    return Signs(
        disc_height=0.16 + 1.0 * _rising(severity, 1.3, -0.8),
        osteophyte=11.0 * _rising(severity, 2.4, 1.1),
        sclerosis=_rising(severity, 1.9, 1.1),
    )


def _rising(severity: Reals, middle: float, slope: float) -> Reals:
    return 1 / (1 + np.exp(-slope * (np.asarray(severity, dtype=np.float64) - middle)))
