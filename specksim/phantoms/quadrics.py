"""Projected thickness of solids bounded by a quadric and two parallel planes: ellipsoids, cones.

With r measured from the body's place, the solid is {r : rᵀ M r + 2 m·r + c ≥ 0 and low ≤ a·r ≤ high}. Along
the beam (z) the first is a quadratic inequality in z, the second an interval.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim.compiled import kernel
from specksim.convex import rotation_matrices
from specksim.grid import Grid

_SUBSAMPLES = 4  # along each axis, where a rim crosses a cell
_FLATTEST = 1e-12  # coefficient of z² below which the quadric counts as this curved along the beam


@dataclass(frozen=True)
class Quadric:
    """A solid, see the module's head. Lengths in m.

    Attributes
    ----------
    matrix : (3, 3) array
        M, symmetric. The three coefficients have a common factor > 0, which does not matter.
    vector : (3,) array
        m, m.
    constant : float
        c, m².
    axis : (3,) array
        a, a unit vector (x, y, z).
    low, high : float
        Between which planes along the axis, m; may be infinite.
    reach : float
        The solid lies within this distance of the body's place, m.
    """

    matrix: np.ndarray
    vector: np.ndarray
    constant: float
    axis: np.ndarray
    low: float
    high: float
    reach: float


def ellipsoid(body: Mapping[str, Any]) -> Quadric:
    """The ellipsoid of a body with `semi_axes_um` [3] and `rotation` (quaternion w, x, y, z)."""
    semi_axes = 1e-6 * np.asarray(body["semi_axes_um"], float)
    turn = rotation_matrices(np.asarray(body["rotation"], float))
    matrix = -(turn / semi_axes**2) @ turn.T
    return Quadric(
        matrix, np.zeros(3), 1.0, np.array([0.0, 0.0, 1.0]), -np.inf, np.inf, float(semi_axes.max())
    )


def cone(body: Mapping[str, Any]) -> Quadric:
    """The circular cone of a body with `radius_um`, `height_um`, `angle_rad` and `tilt_rad`.

    The body's place is the middle of its axis, which points from the base to the apex.
    """
    radius, height = 1e-6 * body["radius_um"], 1e-6 * body["height_um"]
    tilt, angle = body["tilt_rad"], body["angle_rad"]
    axis = np.array([math.cos(tilt) * math.cos(angle), math.cos(tilt) * math.sin(angle), math.sin(tilt)])
    # (radius/height)² (h − a·r)² − |r − (a·r) a|² ≥ 0 with the apex at a·r = h
    slope, apex = radius / height, 0.5 * height
    along = np.outer(axis, axis)
    matrix = (slope**2 + 1) * along - np.eye(3)
    vector = -(slope**2) * apex * axis
    reach = math.hypot(radius, apex)
    return Quadric(matrix, vector, (slope * apex) ** 2, axis, -apex, apex, reach)


def add_quadric(out: np.ndarray, solid: Quadric, y: float, x: float, grid: Grid, weight: float) -> None:
    """Add weight · thickness, m, of a solid at (y, x), m, to a map on a grid.

    At a rim the thickness is the mean over the cell around the point.
    """
    factor = 1.0 / np.abs(solid.matrix).max()  # coefficients of z² are at most 1: what is small is known
    _quadric(
        out,
        y,
        x,
        factor * solid.matrix,
        factor * solid.vector,
        factor * solid.constant,
        solid.axis,
        solid.low,
        solid.high,
        solid.reach,
        *grid.origin_m,
        grid.pitch_m,
        weight,
    )


@kernel
def _clipped(low, high, first, last):
    """Length of the part of (low, high) within (first, last)."""
    return max(min(high, last) - max(low, first), 0.0)


@kernel
def _chord(x, y, matrix, vector, constant, axis, low, high):
    """Thickness along z at one place."""
    along = axis[0] * x + axis[1] * y
    if abs(axis[2]) > 1e-9:
        first, last = (low - along) / axis[2], (high - along) / axis[2]
        if first > last:
            first, last = last, first
    elif low <= along <= high:
        first, last = -np.inf, np.inf
    else:
        return 0.0
    a = matrix[2, 2]
    if abs(a) < _FLATTEST:
        a = -_FLATTEST
    b = matrix[0, 2] * x + matrix[1, 2] * y + vector[2]
    c = matrix[0, 0] * x * x + 2.0 * matrix[0, 1] * x * y + matrix[1, 1] * y * y
    c += 2.0 * (vector[0] * x + vector[1] * y) + constant
    discriminant = b * b - a * c
    if discriminant <= 0.0:
        return 0.0 if a < 0.0 else _clipped(-np.inf, np.inf, first, last)
    # the root that does not cancel, and the other from the product of both
    q = -(b + (np.sqrt(discriminant) if b >= 0.0 else -np.sqrt(discriminant)))
    one, other = q / a, c / q
    if one > other:
        one, other = other, one
    if a < 0.0:
        return _clipped(one, other, first, last)
    return _clipped(-np.inf, one, first, last) + _clipped(other, np.inf, first, last)


@kernel
def _quadric(out, y, x, matrix, vector, constant, axis, low, high, reach, y_origin, x_origin, pitch, weight):
    rows, columns = out.shape
    extent = reach + pitch
    for i in range(
        max(0, int((y - extent - y_origin) / pitch)), min(rows, int((y + extent - y_origin) / pitch) + 2)
    ):
        v = y_origin + i * pitch - y
        half = np.sqrt(max(extent * extent - v * v, 0.0))
        first = max(0, int((x - half - x_origin) / pitch))
        left = 0  # of the two corners that a cell shares with the one before it, how many lie in the outline
        for j in range(first, min(columns, int((x + half - x_origin) / pitch) + 2)):
            u = x_origin + j * pitch - x
            right = 0
            for a in (-0.5, 0.5):
                if j == first:
                    corner = _chord(u - 0.5 * pitch, v + a * pitch, matrix, vector, constant, axis, low, high)
                    left += 1 if corner > 0.0 else 0
                corner = _chord(u + 0.5 * pitch, v + a * pitch, matrix, vector, constant, axis, low, high)
                right += 1 if corner > 0.0 else 0
            hits, left = left + right, right
            chord = _chord(u, v, matrix, vector, constant, axis, low, high)
            if (hits > 0 or chord > 0.0) and (hits < 4 or chord == 0.0):
                chord = 0.0
                for a in range(_SUBSAMPLES):
                    s = v + ((a + 0.5) / _SUBSAMPLES - 0.5) * pitch
                    for b in range(_SUBSAMPLES):
                        r = u + ((b + 0.5) / _SUBSAMPLES - 0.5) * pitch
                        chord += _chord(r, s, matrix, vector, constant, axis, low, high)
                chord /= _SUBSAMPLES * _SUBSAMPLES
            out[i, j] += weight * chord
