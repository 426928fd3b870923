"""Ray optics: every ray carries its light to where refraction sends it."""

import numpy as np

from specksim.compiled import kernel

SPLINE_VARIANCE = 0.25
"""Variance, in cells², of the quadratic B-spline over which a ray's light is spread, along each axis."""

SPLINE_AT_REST = np.array([0.125, 0.75, 0.125])
"""Weights of the spline for a ray that arrives in the middle of a cell."""


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
    half, middle = np.float32(0.5), np.float32(0.75)
    rows, columns = intensity.shape
    for i in range(rows):
        for j in range(columns):
            u, v = dx[i, j], dy[i, j]
            if not (abs(u) < 1e9 and abs(v) < 1e9):
                return False
            column, row = int(np.floor(u + half)), int(np.floor(v + half))
            u -= np.float32(column)
            v -= np.float32(row)
            column += j
            row += i
            if row < -1 or row > rows or column < -1 or column > columns:
                continue
            light = intensity[i, j]
            x0, x1, x2 = half * (half - u) ** 2, middle - u * u, half * (half + u) ** 2
            y0, y1, y2 = half * (half - v) ** 2, middle - v * v, half * (half + v) ** 2
            if 0 < row < rows - 1 and 0 < column < columns - 1:
                for k, y in ((-1, y0), (0, y1), (1, y2)):
                    share = light * y
                    arrived[row + k, column - 1] += share * x0
                    arrived[row + k, column] += share * x1
                    arrived[row + k, column + 1] += share * x2
            else:
                for k, y in ((-1, y0), (0, y1), (1, y2)):
                    for m, x in ((-1, x0), (0, x1), (1, x2)):
                        if 0 <= row + k < rows and 0 <= column + m < columns:
                            arrived[row + k, column + m] += light * y * x
    return True
