"""Interpolation by cubic B-splines, and the change from the sample's grid to the reference's."""

import numpy as np
from scipy import ndimage

from specksim.compiled import kernel

MARGIN = 3
"""Rows and columns of coefficients around an image: what the spline of any place in the frame reaches."""

_ROUNDS, _STILL_PX = 12, 3e-4


def spline_coefficients(images: np.ndarray) -> np.ndarray:
    """Cubic B-spline coefficients of images (K, H, W), mirrored at the border: (K, H + 6, W + 6) float32."""
    filtered = np.empty(images.shape, np.float32)
    for image, coefficients in zip(images, filtered, strict=True):
        # the recursion is carried out in double precision, or an image would not agree with its own spline
        coefficients[...] = ndimage.spline_filter(image, order=3, output=np.float64, mode="mirror")
    return np.pad(filtered, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), mode="reflect")


@kernel
def _spline_weights(fraction):
    """Weights of the four coefficients around a place, `fraction` behind the second of them."""
    one, half, sixth = np.float32(1.0), np.float32(0.5), np.float32(1.0 / 6.0)
    third, u = np.float32(2.0 / 3.0), np.float32(fraction)
    v = one - u
    return (
        sixth * v * v * v,
        third - half * u * u * (one + v),
        third - half * v * v * (one + u),
        sixth * u * u * u,
    )


@kernel
def _slope_weights(fraction):
    half, more, two, u = np.float32(0.5), np.float32(1.5), np.float32(2.0), np.float32(fraction)
    v = np.float32(1.0) - u
    return -half * v * v, u * (more * u - two), v * (two - more * v), half * u * u


@kernel
def spline_at(coefficients, row, column, y, x):
    """Value of a spline at row + y, column + x in the frame, and its derivatives along rows and columns.

    The pixel and the shift from it are given apart: their sum in single precision would be rounded.
    """
    down, right = int(np.floor(y)), int(np.floor(x))
    x0, x1, x2, x3 = _spline_weights(x - right)
    s0, s1, s2, s3 = _slope_weights(x - right)
    y0, y1, y2, y3 = _spline_weights(y - down)
    t0, t1, t2, t3 = _slope_weights(y - down)
    row += down + MARGIN - 1
    column += right + MARGIN - 1
    value = along_rows = along_columns = np.float32(0.0)
    for k, weight, slope in ((0, y0, t0), (1, y1, t1), (2, y2, t2), (3, y3, t3)):
        a, b = coefficients[row + k, column], coefficients[row + k, column + 1]
        c, d = coefficients[row + k, column + 2], coefficients[row + k, column + 3]
        line = x0 * a + x1 * b + x2 * c + x3 * d
        value += weight * line
        along_rows += slope * line
        along_columns += weight * (s0 * a + s1 * b + s2 * c + s3 * d)
    return value, along_rows, along_columns


def to_reference_grid(maps: np.ndarray) -> np.ndarray:
    """Bring maps from the sample's grid to the reference's, d(x) = u(x + d(x)).

    Parameters
    ----------
    maps : (n, H, W) float32
        What was found around each pixel y of the sample: first the displacement ux, uy of what is at y, which
        is at y − u(y) in the reference, pixels; then whatever else is to be carried along.

    Returns
    -------
    (n, H, W) float32
        The same where the light of each pixel x of the reference arrives, at x + d(x); beyond the frame
        what stands at its border.

    Notes
    -----
    Fixed-point iteration, at most 12 rounds: it converges where the displacement changes by less than its
    own length from pixel to pixel, as it must for the pattern not to fold. In between pixels the maps are
    interpolated with Keys' cubic, which reaches no further than two pixels: what is flagged stays where it
    is.
    """
    maps = np.ascontiguousarray(maps)
    padded = np.pad(maps, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), mode="edge")
    arrived = np.empty_like(maps)
    _carry(padded, arrived)
    return arrived


@kernel
def _cubic_weights(fraction):
    """Keys' weights (a = −½) of the four samples around a place, `fraction` behind the second of them."""
    half, more, u = np.float32(0.5), np.float32(1.5), np.float32(fraction)
    v = np.float32(1.0) - u
    one, two = np.float32(1.0), np.float32(2.5)
    return (
        -half * u * v * v,
        one + u * u * (more * u - two),
        one + v * v * (more * v - two),
        -half * v * u * u,
    )


@kernel
def _shift_at(padded, y, x):
    """The first two layers at a place, by cubic interpolation."""
    row, column = int(np.floor(y)), int(np.floor(x))
    x0, x1, x2, x3 = _cubic_weights(x - column)
    y0, y1, y2, y3 = _cubic_weights(y - row)
    row += MARGIN - 1
    column += MARGIN - 1
    dx = dy = np.float32(0.0)
    for k, weight in ((0, y0), (1, y1), (2, y2), (3, y3)):
        i = row + k
        dx += weight * (
            x0 * padded[0, i, column]
            + x1 * padded[0, i, column + 1]
            + x2 * padded[0, i, column + 2]
            + x3 * padded[0, i, column + 3]
        )
        dy += weight * (
            x0 * padded[1, i, column]
            + x1 * padded[1, i, column + 1]
            + x2 * padded[1, i, column + 2]
            + x3 * padded[1, i, column + 3]
        )
    return dx, dy


@kernel
def _carry(padded, arrived):
    layers, rows, columns = arrived.shape
    last_row, last_column = np.float32(rows - 1), np.float32(columns - 1)
    nothing, one = np.float32(0.0), np.float32(1.0)
    for i in range(rows):
        for j in range(columns):
            dx, dy = padded[0, i + MARGIN, j + MARGIN], padded[1, i + MARGIN, j + MARGIN]
            for _ in range(_ROUNDS):
                y = min(max(np.float32(i) + dy, nothing), last_row)
                x = min(max(np.float32(j) + dx, nothing), last_column)
                new_dx, new_dy = _shift_at(padded, y, x)
                change = abs(new_dx - dx) + abs(new_dy - dy)
                dx, dy = new_dx, new_dy
                if change < _STILL_PX:
                    break
            arrived[0, i, j], arrived[1, i, j] = dx, dy
            row, column = int(y), int(x)
            v, u = np.float32(y - row), np.float32(x - column)
            row += MARGIN
            column += MARGIN
            for layer in range(2, layers):
                upper = (one - u) * padded[layer, row, column] + u * padded[layer, row, column + 1]
                lower = (one - u) * padded[layer, row + 1, column] + u * padded[layer, row + 1, column + 1]
                arrived[layer, i, j] = (one - v) * upper + v * lower
