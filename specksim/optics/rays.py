"""Ray optics: every ray carries its light to where refraction sends it."""

import numpy as np

from specksim.compiled import kernel

SPLINE_VARIANCE = 0.25
"""Variance, in cells², of the quadratic B-spline over which a ray's light is spread, along each axis."""

SPLINE_AT_REST = np.array([0.125, 0.75, 0.125])
"""Weights of the spline for a ray that arrives in the middle of a cell."""

_LONG = 1048  # rays that are aimed at a time; lists 4096 bytes apart would share the lines of the cache
_MISS, _RIGHT, _DOWN, _STEP = 3 * _LONG, 4 * _LONG, 5 * _LONG, 6 * _LONG  # where the lists of `_aim` begin
_LISTS = 7
_PROBED = 32  # rays that are compared at a time
_SHORT = 4  # rays that are not worth a filter


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
    deposit_rows(intensity, dx, dy, 0, arrived)
    return arrived


def deposit_rows(
    intensity: np.ndarray, dx: np.ndarray, dy: np.ndarray, first: int, arrived: np.ndarray
) -> None:
    """Add to `arrived` what some rows of rays carry, of which the first starts in row `first` of that grid.

    See `deposit`. All arrays are float32 and C-contiguous; ValueError if a displacement is not finite,
    or beyond all grids.
    """
    if intensity.shape[1] != arrived.shape[1] or not 0 <= first <= len(arrived) - len(intensity):
        raise ValueError(
            f"rays of shape {intensity.shape} from row {first} on do not start on a grid of {arrived.shape}"
        )
    if not _deposit(intensity, dx, dy, arrived, first):
        raise ValueError("dx and dy must be finite, together below 10⁹ cells")


@kernel
def _deposit(intensity, dx, dy, arrived, first_row):
    """Deposit row by row; False if a displacement is not finite, or beyond all grids.

    Neighbours mostly move by the same whole cells. Over a run of such rays the deposit is a short filter,
    which compiles to vector instructions as depositing ray by ray does not.
    """
    rows, columns = arrived.shape
    aimed = np.empty(_LISTS * _LONG, np.float32)
    right, down, steps = aimed[_RIGHT:], aimed[_DOWN:], aimed[_STEP:]
    for band_row in range(intensity.shape[0]):
        for start in range(0, columns, _LONG):
            end = min(start + _LONG, columns)
            part = slice(start, end)
            if not _aim(intensity[band_row][part], dx[band_row][part], dy[band_row][part], aimed):
                return False
            first, length = 0, end - start
            while first < length:
                stop = _run_end(steps, first, length)
                row, column = first_row + band_row + int(down[first]), start + int(right[first])
                a, b = max(first, 1 - column), min(stop, columns - 1 - column)
                if b - a < _SHORT or not 0 < row < rows - 1:
                    a = b = stop
                else:
                    above, level, below = arrived[row - 1], arrived[row], arrived[row + 1]
                    cells = slice(column + a - 1, column + b + 1)
                    _add_run(aimed[a:], above[cells], level[cells], below[cells])
                _add_each(aimed, first, a, row, column, arrived)
                _add_each(aimed, b, stop, row, column, arrived)
                first = stop
    return True


@kernel
def _run_end(steps, first, length):
    """End of the run of rays from `first` on that move by the same whole cells."""
    stop = first + 1
    while stop + _PROBED <= length and _total(steps[stop : stop + _PROBED]) == 0:
        stop += _PROBED
    while stop < length and steps[stop] == 0:
        stop += 1
    return stop


@kernel
def _total(values):
    total = np.float32(0.0)
    for j in range(values.shape[0]):
        total += values[j]
    return total


@kernel
def _aim(light, dx, dy, aimed):
    """Where some rays go, as lists `_LONG` apart in one array; False if one does not go to any grid.

    What each brings to the column before the one it arrives in, to that one, and to the next; how far down it
    misses the middle of its cell; the whole cells that it moves by, right and down; how far these are from
    those of the ray before.
    """
    half, most, one, none = np.float32(0.5), np.float32(1e9), np.float32(1.0), np.float32(0.0)
    strange = none  # a float, as all else here: so the loop is compiled to vector instructions
    for j in range(light.shape[0]):
        right, down = np.floor(dx[j] + half), np.floor(dy[j] + half)
        before, on, behind = _weights(dx[j] - right)
        aimed[j] = light[j] * before
        aimed[j + _LONG] = light[j] * on
        aimed[j + 2 * _LONG] = light[j] * behind
        aimed[j + _MISS] = dy[j] - down
        aimed[j + _RIGHT] = right
        aimed[j + _DOWN] = down
        strange += none if abs(right) + abs(down) < most else one
    for j in range(1, light.shape[0]):
        right, down = aimed[j + _RIGHT], aimed[j + _DOWN]
        aimed[j + _STEP] = abs(right - aimed[j - 1 + _RIGHT]) + abs(down - aimed[j - 1 + _DOWN])
    return strange == none


@kernel
def _weights(t):
    """Shares of light on the cell before the one whose middle a ray misses by t, on it, and behind it."""
    square, half = t * t, np.float32(0.5)
    flank = np.float32(0.125) + half * square
    return flank - half * t, np.float32(0.75) - square, flank + half * t


@kernel
def _add_run(aimed, above, level, below):
    """Add the first n >= 2 rays aimed, which move by the same whole cells, to n + 2 cells of three rows."""
    n = level.shape[0] - 2
    for j in range(n - 2):
        a, b, c = aimed[j + 2 * _LONG], aimed[j + 1 + _LONG], aimed[j + 2]
        a0, a1, a2 = _weights(aimed[j + _MISS])
        b0, b1, b2 = _weights(aimed[j + 1 + _MISS])
        c0, c1, c2 = _weights(aimed[j + 2 + _MISS])
        above[j + 2] += a * a0 + b * b0 + c * c0
        level[j + 2] += a * a1 + b * b1 + c * c1
        below[j + 2] += a * a2 + b * b2 + c * c2
    for j, first, stop in ((0, 0, 2), (1, 0, 1), (n - 2, 2, 3), (n - 1, 1, 3)):  # what is left at the ends
        y0, y1, y2 = _weights(aimed[j + _MISS])
        for m in range(first, stop):
            share = aimed[j + m * _LONG]
            above[j + m] += share * y0
            level[j + m] += share * y1
            below[j + m] += share * y2


@kernel
def _add_each(aimed, first, stop, row, column, arrived):
    """Add rays aimed one by one, as far as they arrive on the grid: ray j in this row and `column` + j."""
    rows, columns = arrived.shape
    for j in range(first, stop):
        y = _weights(aimed[j + _MISS])
        for k in range(3):
            for m in range(3):
                down, right = row + k - 1, column + j + m - 1
                if 0 <= down < rows and 0 <= right < columns:
                    arrived[down, right] += aimed[j + m * _LONG] * y[k]
