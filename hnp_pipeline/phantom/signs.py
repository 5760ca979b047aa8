"""How severity shows on a radiograph: as degeneration does. Every sign is strictly monotone in it."""

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
        disc_height=0.15 + 0.95 * _rising(severity, 1.3, -1.0),
        osteophyte=13.0 * _rising(severity, 1.6, 1.4),
        sclerosis=_rising(severity, 1.3, 1.8),
    )


def _rising(severity: Reals, middle: float, slope: float) -> Reals:
    return 1 / (1 + np.exp(-slope * (np.asarray(severity, dtype=np.float64) - middle)))
