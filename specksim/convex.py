"""Projected thickness of convex polyhedra: the grains of a sandpaper, and blocks.

A convex polyhedron is the set {r : n_k · r ≤ d_k for all k}. Seen along z (the beam), a plane with
n_z > 0 bounds it from above, z ≤ (d − n_x x − n_y y) / n_z, one with n_z < 0 from below. Its thickness is
the lowest upper plane minus the highest lower plane, where that is positive.
"""

import numpy as np

from specksim.compiled import kernel

_STEEPEST = 1e-3
"""|n_z| below which a plane counts as this steep: planes parallel to the beam have no z(x, y)."""
_GROUP = 4  # planes that are compared in one pass over a row
_ROW = 512  # samples of a row that are worked on at a time
_VECTOR = 32  # samples that compiled code works on at a time; divides _ROW
_CHORDS = 32  # rows whose chords are found in one pass over the faces
_PARALLEL = 1e-30  # slope below which two faces exclude each other, or not at all


def rotation_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices, (..., 3, 3), of quaternions (..., 4) = (w, x, y, z) of any length but 0."""
    w, x, y, z = np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def upper_and_lower(normals: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The faces n · r = d of polyhedra as heights c + a x + b y above and below the plane z = 0.

    Parameters
    ----------
    normals : (n, faces, 3) array
        Outward normals (x, y, z), of any length.
    offsets : (n, faces) array
        Distance d from the origin along the normal, in units of the normal's length.

    Returns
    -------
    planes : (n, 2, m, 3) float64
        (c, a, b) of the upper faces' height z, and of the lower faces' depth −z; the thickness is the least
        of the one plus the least of the other. Unused places hold a face at infinity.
    """
    nz = normals[..., 2]
    upper = nz >= 0
    nz = np.maximum(np.abs(nz), _STEEPEST * np.linalg.norm(normals, axis=-1))
    faces = np.stack([offsets / nz, -normals[..., 0] / nz, -normals[..., 1] / nz], axis=-1)
    most = max(upper.sum(axis=-1).max(), (~upper).sum(axis=-1).max())
    planes = np.zeros((len(faces), 2, -(-most // _GROUP) * _GROUP, 3))
    planes[..., 0] = np.inf
    for side, members in enumerate((upper, ~upper)):
        polyhedron, face = np.nonzero(members)
        place = np.cumsum(members, axis=-1)[polyhedron, face] - 1
        planes[polyhedron, side, place] = faces[polyhedron, face]
    return planes


@kernel
def chords(planes, y, step, low, high):
    """Interval of x on which a polyhedron has thickness, at y, y + step, …; empty where low > high."""
    for k in range(low.shape[0]):
        low[k], high[k] = -np.inf, np.inf
    for i in range(planes.shape[1]):
        if planes[0, i, 0] == np.inf:
            break
        for j in range(planes.shape[1]):
            if planes[1, j, 0] == np.inf:
                break
            # where upper face i meets lower face j, x is linear in y; parallel faces exclude each other
            # everywhere or nowhere
            slope = planes[0, i, 1] + planes[1, j, 1]
            parallel = abs(slope) < _PARALLEL
            across = -1.0 / (_PARALLEL if parallel else slope)
            x = across * (planes[0, i, 0] + planes[1, j, 0] + (planes[0, i, 2] + planes[1, j, 2]) * y)
            dx = across * (planes[0, i, 2] + planes[1, j, 2]) * step
            if slope > 0 or parallel:
                for k in range(low.shape[0]):
                    here = x + k * dx
                    low[k] = here if here > low[k] else low[k]
            if slope < 0 and not parallel:
                for k in range(high.shape[0]):
                    here = x + k * dx
                    high[k] = here if here < high[k] else high[k]


@kernel
def _least(faces, y, x, pitch, ramp, out, count):
    """Least height of some faces along a row that begins at x; `ramp` is 0, 1, 2, …"""
    for step in range(count):
        out[step] = np.inf
    for k in range(0, faces.shape[0], _GROUP):
        if faces[k, 0] == np.inf:
            break
        z0 = np.float32(faces[k, 0] + faces[k, 1] * x + faces[k, 2] * y)
        z1 = np.float32(faces[k + 1, 0] + faces[k + 1, 1] * x + faces[k + 1, 2] * y)
        z2 = np.float32(faces[k + 2, 0] + faces[k + 2, 1] * x + faces[k + 2, 2] * y)
        z3 = np.float32(faces[k + 3, 0] + faces[k + 3, 1] * x + faces[k + 3, 2] * y)
        a0, a1 = np.float32(faces[k, 1] * pitch), np.float32(faces[k + 1, 1] * pitch)
        a2, a3 = np.float32(faces[k + 2, 1] * pitch), np.float32(faces[k + 3, 1] * pitch)
        for step in range(count):
            s = ramp[step]
            here = out[step]
            z = z0 + a0 * s
            here = z if z < here else here
            z = z1 + a1 * s
            here = z if z < here else here
            z = z2 + a2 * s
            here = z if z < here else here
            z = z3 + a3 * s
            out[step] = z if z < here else here


@kernel
def _add_row(out, planes, y, x, low, high, x_origin, pitch, weight, periodic, ramp, height, depth):
    """Add weight · thickness of a polyhedron centred at x to a row that it meets from `low` to `high`."""
    columns = out.shape[0]
    first = int(np.ceil((x + low - x_origin) / pitch))
    last = int(np.floor((x + high - x_origin) / pitch))
    if not periodic:
        first, last = max(first, 0), min(last, columns - 1)
    while first <= last:
        target = first % columns
        count = min(min(last - first + 1, _ROW), columns - target)
        start = first * pitch + x_origin - x
        whole = -(-count // _VECTOR) * _VECTOR  # whole vectors, of which what lies beyond is not used
        _least(planes[0], y, start, pitch, ramp, height, whole)
        _least(planes[1], y, start, pitch, ramp, depth, whole)
        row = out[target : target + count]
        for step in range(count):
            thickness = height[step] + depth[step]
            row[step] += weight * (thickness if thickness > 0 else np.float32(0.0))
        first += count


@kernel
def add_convex(out, planes, y, x, y_origin, x_origin, pitch, weight, periodic):
    """Add weight · thickness of a convex polyhedron at (y, x) to `out`; its centre lies inside it.

    Rows are visited away from the centre, in both directions, until the first that misses it.
    """
    rows = out.shape[0]
    height, depth = np.empty(_ROW, np.float32), np.empty(_ROW, np.float32)
    ramp = np.arange(_ROW).astype(np.float32)
    low, high = np.empty(_CHORDS), np.empty(_CHORDS)
    middle = int(np.floor((y - y_origin) / pitch))
    for direction in (-1, 1):
        row = middle if direction < 0 else middle + 1
        if not periodic:  # start at the edge of the frame where the centre lies beyond it
            row = min(row, rows - 1) if direction < 0 else max(row, 0)
        k = _CHORDS
        while periodic or 0 <= row < rows:
            dy = row * pitch + y_origin - y
            if k == _CHORDS:
                chords(planes, dy, direction * pitch, low, high)
                k = 0
            if not low[k] <= high[k]:
                break
            target, scale = out[row % rows], np.float32(weight)
            _add_row(
                target, planes, dy, x, low[k], high[k], x_origin, pitch, scale, periodic, ramp, height, depth
            )
            row += direction
            k += 1
