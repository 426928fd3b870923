"""Ray optics: every ray carries its light to where refraction sends it."""

import numpy as np

from specksim.compiled import kernel

SPLINE_VARIANCE = 0.25
"""Variance, in cells², of the quadratic B-spline over which a ray's light is spread, along each axis."""

SPLINE_AT_REST = np.array([0.125, 0.75, 0.125])
"""Weights of the spline for a ray that arrives in the middle of a cell."""

_STRIP = 62  # rays that are deposited at a time
_LONG = _STRIP + 2  # cells that they reach
_PADDED = _LONG + 4


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

    See `deposit`. All arrays are float32 and C-contiguous; ValueError if a displacement is not finite.
    """
    if not _deposit(intensity, dx, dy, arrived, first):
        raise ValueError("dx and dy must be finite")


@kernel
def _deposit(intensity, dx, dy, arrived, first_row=0):
    """Deposit row by row; False if a displacement is not finite.

    Neighbours mostly arrive in neighbouring cells. Over a strip of such rays the deposit is a short filter
    of a fixed length, which compiles to vector instructions as depositing ray by ray does not.
    """
    rows, columns = arrived.shape
    work = np.zeros(8 * _PADDED, np.float32)
    right, down = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for band_row in range(intensity.shape[0]):
        i, light, u, v = first_row + band_row, intensity[band_row], dx[band_row], dy[band_row]
        if not (_whole_cells(u, right) and _whole_cells(v, down)):
            return False
        first = min(1, columns)
        _add_each(light, u, v, i, 0, first, arrived)
        while first + _LONG <= columns:
            strip, stop = slice(first, first + _LONG), first + _STRIP
            (left, wide), (top, high) = _range(right[first:stop]), _range(down[first:stop])
            column, row = first + int(left) - 1, i + int(top) - 1
            inside = 0 <= row < rows - 3 and 0 <= column < columns - _LONG
            if inside and wide + high == 0:
                _weigh_alike(light[strip], u[strip], v[strip], left, top, work)
                for k in range(3):
                    _add_three(work, k, arrived[row + k][column : column + _LONG])
            elif inside and wide <= 1 and high <= 1:
                _weigh(light[strip], u[strip], v[strip], left, top, work)
                for k in range(4):
                    _add_four(work, k, arrived[row + k][column : column + _LONG + 1])
            else:
                _add_each(light, u, v, i, first, stop, arrived)
            first = stop
        _add_each(light, u, v, i, first, columns, arrived)
    return True


@kernel
def _whole_cells(shift, cells):
    """Nearest whole number of each shift; False if one is not finite, or beyond all grids."""
    strange = 0
    for j in range(shift.shape[0]):
        cells[j] = np.floor(shift[j] + np.float32(0.5))
        strange += 0 if abs(shift[j]) < 1e9 else 1
    return strange == 0


@kernel
def _range(cells):
    """Smallest whole number of a strip, and the largest less the smallest."""
    least, apart = cells[0], np.float32(0.0)
    for j in range(_STRIP):  # without a branch, as mostly all are alike
        apart += abs(cells[j] - cells[0])
    if apart == 0:
        return least, apart
    most = least
    for j in range(_STRIP):
        least, most = min(least, cells[j]), max(most, cells[j])
    return least, most - least


@kernel
def _core(t):
    """Share of a ray's light on the cell whose middle it misses by t, at most half a cell."""
    return np.float32(0.75) - t * t


@kernel
def _flank(t):
    """Share on the next cell in the direction of t."""
    return np.float32(0.5) * (np.float32(0.5) + t) * (np.float32(0.5) + t)


@kernel
def _weigh_alike(light, dx, dy, left, top, work):
    """Weights of a strip of rays that all move by the same whole cells.

    Three lists of the rays' light times the spline's weights along columns, then, from the fifth, three of
    its weights along rows, with three zeros ahead of each.
    """
    for j in range(_LONG):
        u, v = dx[j] - left, dy[j] - top
        work[j + 3] = light[j] * _flank(-u)
        work[j + 3 + _PADDED] = light[j] * _core(u)
        work[j + 3 + 2 * _PADDED] = light[j] * _flank(u)
        work[j + 3 + 4 * _PADDED] = _flank(-v)
        work[j + 3 + 5 * _PADDED] = _core(v)
        work[j + 3 + 6 * _PADDED] = _flank(v)
    _end_strip(work)


@kernel
def _weigh(light, dx, dy, left, top, work):
    """The same for rays that move by `left` or a cell more, and by `top` or a cell more: four lists each."""
    half, one, none = np.float32(0.5), np.float32(1.0), np.float32(0.0)
    for j in range(_LONG):
        u, v = dx[j] - left, dy[j] - top
        s, t = u - one, v - one
        work[j + 3] = light[j] * (_flank(-u) if u < half else none)
        work[j + 3 + _PADDED] = light[j] * (_core(u) if u < half else _flank(-s))
        work[j + 3 + 2 * _PADDED] = light[j] * (_flank(u) if u < half else _core(s))
        work[j + 3 + 3 * _PADDED] = light[j] * (none if u < half else _flank(s))
        work[j + 3 + 4 * _PADDED] = _flank(-v) if v < half else none
        work[j + 3 + 5 * _PADDED] = _core(v) if v < half else _flank(-t)
        work[j + 3 + 6 * _PADDED] = _flank(v) if v < half else _core(t)
        work[j + 3 + 7 * _PADDED] = none if v < half else _flank(t)
    _end_strip(work)


@kernel
def _end_strip(work):
    """No light behind the last ray of a strip."""
    for k in range(4):
        work[k * _PADDED + 3 + _STRIP] = 0.0
        work[k * _PADDED + 4 + _STRIP] = 0.0


@kernel
def _add_three(work, k, out):
    """Add a strip of rays that all move by the same whole cells to one of the three rows they reach."""
    y = work[(4 + k) * _PADDED :]
    for j in range(_LONG):
        out[j] += (
            work[j + 3] * y[j + 3]
            + work[j + 2 + _PADDED] * y[j + 2]
            + work[j + 1 + 2 * _PADDED] * y[j + 1]
        )  # fmt: skip


@kernel
def _add_four(work, k, out):
    """Add a strip of rays whose whole cells differ by one at most to one of the four rows they reach."""
    y = work[(4 + k) * _PADDED :]
    for j in range(_LONG + 1):
        out[j] += (
            work[j + 3] * y[j + 3]
            + work[j + 2 + _PADDED] * y[j + 2]
            + work[j + 1 + 2 * _PADDED] * y[j + 1]
            + work[j + 3 * _PADDED] * y[j]
        )  # fmt: skip


@kernel
def _add_each(light, dx, dy, i, first, stop, arrived):
    """Add the rays first … stop − 1 of row i one by one, as far as they arrive on the grid."""
    half, middle = np.float32(0.5), np.float32(0.75)
    rows, columns = arrived.shape
    for j in range(first, stop):
        u, v = dx[j], dy[j]
        column, row = int(np.floor(u + half)), int(np.floor(v + half))
        u -= np.float32(column)
        v -= np.float32(row)
        column += j
        row += i
        if row < -1 or row > rows or column < -1 or column > columns:
            continue
        x0, x1, x2 = half * (half - u) ** 2, middle - u * u, half * (half + u) ** 2
        y0, y1, y2 = half * (half - v) ** 2, middle - v * v, half * (half + v) ** 2
        inside = 0 < row < rows - 1 and 0 < column < columns - 1
        for k, y in ((-1, y0), (0, y1), (1, y2)):
            for m, x in ((-1, x0), (0, x1), (1, x2)):
                if inside or (0 <= row + k < rows and 0 <= column + m < columns):
                    arrived[row + k, column + m] += light[j] * y * x
