"""Solids with a closed-form chord, and the X-ray that looks through them.

A solid is a quadric (ellipsoid, cylinder or one-sheeted hyperboloid along its own z axis) between two
planes across that axis. Along a ray the quadric's roots have a discriminant that is a quadratic polynomial of
the pixel, so a solid costs a few operations on the window that it covers. Attenuation adds up along the ray
(Beer-Lambert).
"""

from dataclasses import dataclass

import numpy as np

Reals = np.ndarray

ELLIPSOID, CYLINDER, HYPERBOLOID = 1.0, 0.0, -1.0


class Solids:
    """A growing list of solids. Lengths in mm, attenuation in 1/mm; negative attenuation carves."""

    def __init__(self) -> None:
        self.rows: list[tuple[Reals, Reals, Reals, float, float, float, float]] = []

    def add(
        self,
        centre: Reals,
        axes: Reals,
        semi: tuple[float, float, float],
        attenuation: float,
        kind: float = ELLIPSOID,
        low: float = -np.inf,
        high: float = np.inf,
    ) -> None:
        """One solid: `axes` (3, 3) holds its x, y, z as columns, `semi` its half axes; low, high bound z."""
        self.rows.append((centre, axes, np.asarray(semi), kind, low, high, attenuation))


@dataclass(frozen=True)
class Camera:
    """A point source, and a detector of square pixels scaled to the plane through `target`.

    `axes` (3, 3) holds as columns the image's right, the image's up and the direction of the beam.
    """

    target: Reals  # mm, the point that the central beam passes
    axes: Reals
    distance: float  # source to target, mm
    spacing: float  # mm a pixel at the target
    shape: tuple[int, int]  # height, width in pixels
    principal: tuple[float, float]  # pixel (x, y) of the target

    def pixel(self, points: Reals) -> tuple[Reals, Reals]:
        """Pixels (n, 2) as (x, y) of points (n, 3), and the magnification (n) of each."""
        local = (points - self.target) @ self.axes
        magnification = self.distance / (self.distance + local[:, 2])
        x = self.principal[0] + local[:, 0] * magnification / self.spacing
        y = self.principal[1] - local[:, 1] * magnification / self.spacing
        return np.stack([x, y], axis=1), magnification


def attenuation(solids: Solids, camera: Camera) -> Reals:
    """The line integral of attenuation at every pixel, float32 (height, width).

    The beam diverges from solid to solid; within one solid its rays are taken as parallel.
    """
    image = np.zeros(camera.shape, dtype=np.float32)
    height, width = camera.shape
    centres = np.array([row[0] for row in solids.rows])
    axes = np.array([row[1] for row in solids.rows])
    semi = np.array([row[2] for row in solids.rows])
    kind = np.array([row[3] for row in solids.rows])
    low = np.array([row[4] for row in solids.rows])
    high = np.array([row[5] for row in solids.rows])
    pixels, magnification = camera.pixel(centres)

    source = camera.target - camera.distance * camera.axes[:, 2]
    rays = centres - source
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    step = camera.spacing / magnification[:, None]
    to_local = axes.transpose(0, 2, 1)
    d = np.einsum("nij,nj->ni", to_local, rays)  # the ray, in the solid's own axes
    right = (to_local @ camera.axes[:, 0]) * step  # one pixel to the right
    down = (to_local @ -camera.axes[:, 1]) * step

    weights = 1 / semi**2
    weights[:, 2] *= kind
    a = (weights * d * d).sum(1)
    bx, by = (weights * d * right).sum(1), (weights * d * down).sum(1)
    xx, xy, yy = (
        (weights * right * right).sum(1),
        (weights * right * down).sum(1),
        (weights * down * down).sum(1),
    )
    # discriminant = constant + qxx x² + 2 qxy x y + qyy y², with x, y in pixels from the solid's centre
    qxx, qxy, qyy = bx * bx - a * xx, bx * by - a * xy, by * by - a * yy
    extent = _extent(axes, semi, kind, low, high, camera, step[:, 0])

    for i in range(len(solids.rows)):
        if a[i] <= 0:
            continue
        x0, y0 = pixels[i]
        left, right_edge = max(0, int(x0 - extent[i, 0])), min(width, int(x0 + extent[i, 0]) + 2)
        top, bottom = max(0, int(y0 - extent[i, 1])), min(height, int(y0 + extent[i, 1]) + 2)
        if left >= right_edge or top >= bottom:
            continue
        x = np.arange(left, right_edge, dtype=np.float32) - np.float32(x0)
        y = (np.arange(top, bottom, dtype=np.float32) - np.float32(y0))[:, None]
        chord = y * np.float32(2 * qxy[i]) * x
        chord += (qxx[i] * x * x + np.float32(a[i])).astype(np.float32)
        chord += (qyy[i] * y * y).astype(np.float32)
        np.maximum(chord, 0, out=chord)
        np.sqrt(chord, out=chord)
        chord *= np.float32(1 / a[i])  # half the chord
        if np.isfinite(low[i]) or np.isfinite(high[i]):
            middle = x * np.float32(-bx[i] / a[i]) + y * np.float32(-by[i] / a[i])
            z = x * np.float32(right[i, 2]) + y * np.float32(down[i, 2])
            chord = _between(middle, chord, z, d[i, 2], low[i], high[i])
        else:
            chord *= 2
        chord *= np.float32(solids.rows[i][6])
        image[top:bottom, left:right_edge] += chord
    return image


def _between(middle: Reals, half: Reals, z: Reals, slope: float, low: float, high: float) -> Reals:
    """Length of the ray that lies within the quadric (middle ± half) and between the planes."""
    slope = slope if abs(slope) > 1e-3 else 1e-3
    near, far = (low, high) if slope > 0 else (high, low)
    begin = np.maximum(middle - half, (np.float32(near) - z) * np.float32(1 / slope))
    end = np.minimum(middle + half, (np.float32(far) - z) * np.float32(1 / slope))
    end -= begin
    return np.maximum(end, 0, out=end)


def _extent(
    axes: Reals, semi: Reals, kind: Reals, low: Reals, high: Reals, camera: Camera, step: Reals
) -> Reals:
    """Half sizes (n, 2) in pixels of windows that hold each solid."""
    z = np.where(
        kind > 0, np.minimum(semi[:, 2], np.maximum(-low, high)), np.minimum(np.maximum(-low, high), 1e4)
    )
    flare = np.where(kind < 0, np.sqrt(1 + (z / semi[:, 2]) ** 2), 1.0)
    sizes = np.stack([semi[:, 0] * flare, semi[:, 1] * flare, z], axis=1)
    seen = np.abs(np.einsum("nij,ik->nkj", axes, camera.axes[:, :2]))  # solid axis j along image axis k
    bounded = np.where((kind > 0) & ~np.isfinite(low) & ~np.isfinite(high), 1, 0)[:, None]
    tight = np.sqrt(((seen * sizes[:, None, :]) ** 2).sum(2))
    loose = (seen * sizes[:, None, :]).sum(2)
    return np.where(bounded, tight, loose) * 1.03 / step[:, None] + 1.5
