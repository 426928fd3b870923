"""Projected thickness of convex polyhedra: the grains of a sandpaper, and blocks.

A convex polyhedron is the set {r : n_k · r ≤ d_k for all k}. Seen along z (the beam), a plane with
n_z > 0 bounds it from above, z ≤ (d − n_x x − n_y y) / n_z, one with n_z < 0 from below. Its thickness is
the lowest upper plane minus the highest lower plane, where that is positive.
"""

import numpy as np

from specksim.compiled import kernel

_STEEPEST = 1e-3
"""|n_z| below which a plane counts as this steep: planes parallel to the beam have no z(x, y)."""


def affine_planes(normals: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Planes n · r = d as functions z = c + a x + b y.

    Parameters
    ----------
    normals : (..., 3) array
        Outward normals (x, y, z), of any length.
    offsets : (...) array
        Distance d from the origin along the normal, in units of the normal's length.

    Returns
    -------
    planes : (..., 4) float64
        (c, a, b, side), side +1 for an upper plane and −1 for a lower one.
    """
    nz = normals[..., 2]
    side = np.where(nz < 0, -1.0, 1.0)
    nz = side * np.maximum(np.abs(nz), _STEEPEST * np.linalg.norm(normals, axis=-1))
    return np.stack([offsets / nz, -normals[..., 0] / nz, -normals[..., 1] / nz, side], axis=-1)


def rotation_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices, (..., 3, 3), of quaternions (..., 4) = (w, x, y, z) of any length but 0."""
    w, x, y, z = np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


@kernel
def chord(planes, y):
    """Interval of x, at one y, on which every upper plane lies above every lower plane."""
    low, high = -np.inf, np.inf
    for i in range(planes.shape[0]):
        if planes[i, 3] < 0:
            continue
        for j in range(planes.shape[0]):
            if planes[j, 3] > 0:
                continue
            gap = planes[i, 0] - planes[j, 0] + (planes[i, 2] - planes[j, 2]) * y
            slope = planes[i, 1] - planes[j, 1]
            if slope > 0:
                low = max(low, -gap / slope)
            elif slope < 0:
                high = min(high, -gap / slope)
            elif gap < 0:
                return 1.0, -1.0
    return low, high


@kernel
def add_row(out, row, planes, y, x, x_origin, pitch, weight, periodic):
    """Add weight · thickness of a polyhedron centred at x to one row of `out`; False if it misses the row."""
    low, high = chord(planes, y)
    if low > high:
        return False
    columns = out.shape[1]
    first = int(np.ceil((x + low - x_origin) / pitch))
    last = int(np.floor((x + high - x_origin) / pitch))
    if not periodic:
        first, last = max(first, 0), min(last, columns - 1)
    target = first % columns
    start = first * pitch + x_origin - x
    for step in range(last - first + 1):
        dx = start + step * pitch
        upper, lower = np.inf, -np.inf
        for k in range(planes.shape[0]):
            z = planes[k, 0] + planes[k, 1] * dx + planes[k, 2] * y
            if planes[k, 3] > 0:
                upper = min(upper, z)
            else:
                lower = max(lower, z)
        out[row, target] += weight * max(upper - lower, 0.0)
        target += 1
        if target == columns:
            target = 0
    return True


@kernel
def add_convex(out, planes, y, x, y_origin, x_origin, pitch, weight, periodic):
    """Add weight · thickness of a convex polyhedron at (y, x) to `out`; its centre lies inside it.

    Rows are visited away from the centre, in both directions, until the first that misses it.
    """
    rows = out.shape[0]
    middle = int(np.floor((y - y_origin) / pitch))
    for direction in (-1, 1):
        row = middle if direction < 0 else middle + 1
        if not periodic:  # start at the edge of the frame where the centre lies beyond it
            row = min(row, rows - 1) if direction < 0 else max(row, 0)
        while periodic or 0 <= row < rows:
            dy = row * pitch + y_origin - y
            if not add_row(out, row % rows, planes, dy, x, x_origin, pitch, weight, periodic):
                break
            row += direction
