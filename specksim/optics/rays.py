"""Ray optics: every ray carries its light to where refraction sends it."""

import numpy as np

from specksim.compiled import kernel

SPLINE_VARIANCE = 0.25
"""Variance, in cells², of the quadratic B-spline over which a ray's light is spread, along each axis."""

SPLINE_AT_REST = np.array([0.125, 0.75, 0.125])
"""Weights of the spline for a ray that arrives in the middle of a cell."""

_BLOCK = 32  # rays that are compared at a time
_SHORT = 4  # runs of rays that are not worth a vector


def deposit(intensity: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Carry light along rays and deposit it where they arrive.

    Parameters
    ----------
    intensity : (H, W) array
        Light carried by the ray that starts in the middle of each cell.
    dx, dy : (H, W) arrays
        Displacement of each ray along columns and rows, in cells of this grid.

    Returns
    -------
    (H, W) float32
        Light that arrives in each cell. Light sent out of the grid is lost.

    Raises
    ------
    ValueError
        If the arrays are not 2-D and of one shape, or a displacement is not finite.

    Notes
    -----
    A ray's light is spread over 3 × 3 cells with a quadratic B-spline centred where the ray arrives: the
    weights sum to one and their first moment is the ray's position, so energy and mean position are
    exact. Against bilinear weights the spread does not depend on the sub-cell position, so that smooth
    displacements leave no moiré. The intensity of the image is that of geometrical optics,
    I(x + d) = I(x) / |det(I + ∇d)|, folds included.
    """
    intensity, dx, dy = (np.ascontiguousarray(array, dtype=np.float32) for array in (intensity, dx, dy))
    if intensity.ndim != 2 or not intensity.shape == dx.shape == dy.shape:
        raise ValueError(
            "intensity, dx and dy must be 2-D and of one shape, "
            f"got {intensity.shape}, {dx.shape} and {dy.shape}"
        )
    arrived = np.zeros_like(intensity)
    if not _deposit(intensity, dx, dy, arrived):
        raise ValueError("dx and dy must be finite")
    return arrived


@kernel
def _deposit(intensity, dx, dy, arrived):
    """Deposit row by row; False if a displacement is not finite.

    Neighbours mostly arrive in neighbouring cells: over such a run of rays the deposit is a short filter
    along the row, which compiles to vector instructions as depositing ray by ray does not.
    """
    rows, columns = intensity.shape
    along, across = np.empty((3, columns), np.float32), np.empty((3, columns), np.float32)
    right, down = np.empty(columns, np.float32), np.empty(columns, np.float32)
    starts = np.empty(columns + 1, np.int64)
    for i in range(rows):
        if not (_split(dx[i], right, along) and _split(dy[i], down, across)):
            return False
        for k in range(3):
            along[k] *= intensity[i]
        for run in range(_runs(right, down, starts)):
            first, stop = starts[run], starts[run + 1]
            row, shift = i + int(down[first]), int(right[first])
            a, b = max(first, 1 - shift), min(stop, columns - 1 - shift)  # rays that lose nothing at the edges
            if b - a < _SHORT:
                a = b = stop
            _add_each(arrived, row, shift, along, across, first, a)
            for k in range(max(0, 1 - row), min(3, rows + 1 - row) if a < b else 0):
                out = arrived[row + k - 1][a + shift - 1 : b + shift + 1]
                _add_run(out, along[0][a:b], along[1][a:b], along[2][a:b], across[k][a:b])
            _add_each(arrived, row, shift, along, across, b, stop)
    return True


@kernel
def _split(shift, cells, weights):
    """Whole cells of each shift, and the spline's three weights for the rest; False if one is not finite."""
    half, middle = np.float32(0.5), np.float32(0.75)
    strange = 0
    for j in range(shift.shape[0]):
        cells[j] = np.floor(shift[j] + half)
        strange += 0 if abs(shift[j]) < 1e9 else 1
    before, here, beyond = weights[0], weights[1], weights[2]
    for j in range(shift.shape[0]):
        rest = shift[j] - np.floor(shift[j] + half)
        before[j] = half * (half - rest) * (half - rest)
        here[j] = middle - rest * rest
        beyond[j] = half * (half + rest) * (half + rest)
    return strange == 0


@kernel
def _runs(right, down, starts):
    """Where runs of rays begin that move by the same whole cells, and the end of the last; their number."""
    columns = right.shape[0]
    starts[0], number = 0, 1
    for first in range(1, columns, _BLOCK):
        stop = min(first + _BLOCK, columns)
        u, v, u_before, v_before = right[first:stop], down[first:stop], right[first - 1 :], down[first - 1 :]
        changes = 0
        for j in range(stop - first):  # without a branch, as most blocks have no change
            changes += int(u[j] != u_before[j]) | int(v[j] != v_before[j])
        if changes > 0:
            for j in range(stop - first):
                if u[j] != u_before[j] or v[j] != v_before[j]:
                    starts[number] = first + j
                    number += 1
    starts[number] = columns
    return number


@kernel
def _add_run(out, x0, x1, x2, y):
    """Add to a row what three or more rays leave on it that move by the same whole cells."""
    n = y.shape[0]
    out[0] += x0[0] * y[0]
    out[1] += x0[1] * y[1] + x1[0] * y[0]
    middle = out[2:]
    for j in range(n - 2):
        middle[j] += x0[j + 2] * y[j + 2] + x1[j + 1] * y[j + 1] + x2[j] * y[j]
    out[n] += x1[n - 1] * y[n - 1] + x2[n - 2] * y[n - 2]
    out[n + 1] += x2[n - 1] * y[n - 1]


@kernel
def _add_each(arrived, row, shift, along, across, first, stop):
    """Add some rays one by one, which arrive on a row `shift` columns further, as far as there is a grid."""
    rows, columns = arrived.shape
    for j in range(first, stop):
        for k in range(max(0, 1 - row), min(3, rows + 1 - row)):
            for m in range(3):
                column = j + shift + m - 1
                if 0 <= column < columns:
                    arrived[row + k - 1, column] += along[m, j] * across[k, j]
