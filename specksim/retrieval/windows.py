"""Least squares in windows: displacement, transmission and visibility around each pixel of the sample.

The sample around a pixel y is taken as T times the reference from where its light comes, y + w − u,

    sample(y + w) = T · reference(y + w − u)                                      (plain)
    sample(y + w) = T · [m + D · (reference(y + w − u) − m)],  m the window's mean (zero-mean)

and linearised around a displacement u₀(y + w) that is known roughly at every pixel, with the reference
interpolated there (v) and its gradient g. The displacement sought is either one for the whole window, u: then
reference(y + w − u) = v + u₀ · g − u · g. As u₀ enters at every pixel by itself, the solution depends on it
in second order only, and may be taken as the next u₀. Or it follows u₀ within the window, with one correction
for all of it, u₀(y + w) + δ: then reference = v − δ · g, and u(y) = u₀(y) + δ. Where the displacement changes
within the window this has a several times smaller error, provided that u₀ is smoother than the window's own
noise.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.signal import get_window

from specksim.compiled import kernel
from specksim.retrieval.splines import spline_at

_STRIP_ROWS = 64
_LEAST_DETERMINANT = (
    1e-6  # of the gradient's 2 × 2 matrix over its squared trace: speckle along one axis only
)
_LEAST_GRADIENT = 1e-7  # mean squared gradient per pixel, relative to the mean: what a spline rings with
_LEAST_GAIN = 0.05
_FARTHEST_STEP_PX = 3.0  # beyond, the linearised equations say nothing
_LAYERS = 7
GAIN, MEAN, ERROR_X, ERROR_Y, SOLVED = range(2, _LAYERS)
"""Layers of `fit_windows` behind ux and uy."""


def window_taps(size: int, kind: str) -> np.ndarray:
    """Weights of a window along one axis, sum 1; `kind` is "hamming" or "boxcar"."""
    taps = get_window(kind, size, fftbins=False)
    return (taps / taps.sum()).astype(np.float32)


def in_strips(work: Callable[[int, int], object], rows: int, workers: int, height: int = _STRIP_ROWS) -> None:
    """Call `work(first, last)` for strips of rows that make up a frame, in `workers` threads."""
    starts = range(0, rows, height)
    ends = [min(first + height, rows) for first in starts]
    if workers == 1:
        for first, last in zip(starts, ends, strict=True):
            work(first, last)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, starts, ends))


def window_means(images: np.ndarray, taps: np.ndarray, mode: str | None = "symmetric") -> np.ndarray:
    """Weighted means of images (K, H, W) over windows; at the border padded as `numpy.pad` does in that mode.

    With None, over the windows that fit into the images alone: (K, H − n + 1, W − n + 1) for n taps.
    """
    half = len(taps) // 2
    if mode is not None:
        images = np.pad(images, ((0, 0), (half, half), (half, half)), mode=mode)  # type: ignore[call-overload]
    images = np.ascontiguousarray(images, np.float32)
    means = np.empty((len(images), *(size - 2 * half for size in images.shape[1:])), np.float32)
    half_done = np.empty(images.shape[2], np.float32)
    for image, mean in zip(images, means, strict=True):
        smooth(image, taps, half_done, mean)
    return means


def fit_windows(
    coefficients: np.ndarray,
    sample: np.ndarray,
    live: np.ndarray,
    start: np.ndarray,
    taps: np.ndarray,
    *,
    zero_mean: bool,
    follow: bool = False,
    workers: int = 1,
) -> np.ndarray:
    """Solve one of the equations of the module's head once around a given displacement.

    Parameters
    ----------
    coefficients : (K, H + 6, W + 6) float32
        Spline of the reference, see `spline_coefficients`.
    sample : (K, H, W) float32
        In units in which the reference's mean is about 1.
    live : (H, W) bool
        Pixels that count, of both images. Windows leave out what is not live or outside of the frame.
    start : (2, H, W) float32
        Rough displacement ux, uy on the sample's grid, pixels.
    taps : (n,) float32
        Weights of the window along each axis, n odd.
    zero_mean : bool
        Which of the two equations; zero-mean leaves each exposure its own mean.
    follow : bool
        Whether the displacement follows `start` within a window, or is one for all of it.
    workers : int
        Threads.

    Returns
    -------
    (7, H, W) float32
        ux, uy; the gain T (plain) or T·D (zero-mean); the mean of the sample over that of the reference,
        T in the zero-mean equation; the standard errors of ux and uy, from the residual; and 1 where the
        equations could be solved, else 0: there `start` is kept.
    """
    found = np.empty((_LAYERS, *live.shape), np.float32)
    start = np.ascontiguousarray(start)

    def work(first: int, last: int) -> None:
        _fit_strip(first, last, coefficients, sample, live, start, taps, zero_mean, follow, found)

    in_strips(work, live.shape[0], workers)
    return found


@kernel
def smooth(values, taps, half_done, smoothed):
    """Weighted sums over windows, of which every one fits into `values`."""
    size, width = taps.shape[0], values.shape[1]
    rows, columns = smoothed.shape
    half = size // 2
    for i in range(rows):
        for j in range(width):
            half_done[j] = taps[half] * values[i + half, j]
        for k in range(half):
            weight = taps[k]
            for j in range(width):
                half_done[j] += weight * (values[i + k, j] + values[i + size - 1 - k, j])
        for j in range(columns):
            smoothed[i, j] = taps[half] * half_done[j + half]
        for k in range(half):
            weight = taps[k]
            for j in range(columns):
                smoothed[i, j] += weight * (half_done[j + k] + half_done[j + size - 1 - k])


@kernel
def _warp_strip(top, half, coefficients, sample, live, start, follow, fields):
    """Fields q, gx, gy, r = sample − q and 1, where both images have light, around a strip.

    q is what the reference would be without the displacement sought: v, or v + u₀·g.
    """
    height, width = live.shape
    for i in range(fields.shape[1]):
        row = top + i
        for j in range(fields.shape[2]):
            column = j - half
            there = 0 <= row < height and 0 <= column < width and live[row, column]
            if there:
                ux, uy = start[0, row, column], start[1, row, column]
                y, x = np.float32(row) - uy, np.float32(column) - ux
                there = 0 <= y <= height - 1 and 0 <= x <= width - 1
                if there:
                    there = live[int(y + np.float32(0.5)), int(x + np.float32(0.5))]
            if there:
                value, gy, gx = spline_at(coefficients, row, column, -uy, -ux)
                q = value if follow else value + ux * gx + uy * gy
                fields[0, i, j], fields[1, i, j], fields[2, i, j] = q, gx, gy
                fields[3, i, j], fields[4, i, j] = sample[row, column] - q, np.float32(1.0)
            else:
                fields[:, i, j] = 0.0


@kernel
def _fit_strip(first, last, coefficients, samples, live, start, taps, zero_mean, follow, found):
    rows, columns, half = last - first, live.shape[1], taps.shape[0] // 2
    high, wide = rows + 2 * half, columns + 2 * half
    fields = np.empty((5, high, wide), np.float32)
    products = np.zeros((10, high, wide), np.float32)
    sums = np.empty((10, rows, columns), np.float32)
    means = np.empty((4, rows, columns), np.float32)
    of_means = np.zeros((10, rows, columns), np.float32)
    share = np.empty((rows, columns), np.float32)
    half_done = np.empty(wide, np.float32)
    for k in range(samples.shape[0]):
        _warp_strip(first - half, half, coefficients[k], samples[k], live, start, follow, fields)
        _add_products(fields, products)
        if k == 0:
            smooth(fields[4], taps, half_done, share)
        if zero_mean:
            for a in range(4):
                smooth(fields[a], taps, half_done, means[a])
            _add_products_of_means(means, share, of_means)
    for m in range(10):
        smooth(products[m], taps, half_done, sums[m])
    effective = np.sum(taps * taps) ** 2  # of a window's weight, the share of one of its pixels
    _solve_strip(first, samples.shape[0], effective, zero_mean, follow, share, sums, of_means, start, found)


@kernel
def _add_products(fields, products):
    """Products of q, gx, gy, r: qq, qx, qy, qr, xx, xy, xr, yy, yr, rr."""
    for i in range(fields.shape[1]):
        for j in range(fields.shape[2]):
            q, x, y, r = fields[0, i, j], fields[1, i, j], fields[2, i, j], fields[3, i, j]
            products[0, i, j] += q * q
            products[1, i, j] += q * x
            products[2, i, j] += q * y
            products[3, i, j] += q * r
            products[4, i, j] += x * x
            products[5, i, j] += x * y
            products[6, i, j] += x * r
            products[7, i, j] += y * y
            products[8, i, j] += y * r
            products[9, i, j] += r * r


@kernel
def _add_products_of_means(means, share, of_means):
    """The same of the windows' means, with the weight of what a window holds."""
    for i in range(share.shape[0]):
        for j in range(share.shape[1]):
            inverse = np.float32(1.0) / share[i, j] if share[i, j] > 0 else np.float32(0.0)
            m = 0
            for a in range(4):
                for b in range(a, 4):
                    of_means[m, i, j] += means[a, i, j] * means[b, i, j] * inverse
                    m += 1


@kernel
def _energy(s, ux, uy):
    """Sum of squares of q − u·g, the reference at the displacement found."""
    return float(
        s[0] - 2.0 * (ux * s[1] + uy * s[2]) + ux * ux * s[4] + 2.0 * ux * uy * s[5] + uy * uy * s[7]
    )


@kernel
def _variances(s, ux, uy):
    """Variances of the displacement for a residual of variance 1 and a gain of 1, which is fitted, too."""
    energy = max(_energy(s, ux, uy), 1e-30)
    along_x = s[1] - ux * s[4] - uy * s[5]
    along_y = s[2] - ux * s[5] - uy * s[7]
    xx, yy = s[4] - along_x * along_x / energy, s[7] - along_y * along_y / energy
    xy = s[5] - along_x * along_y / energy
    determinant = max(xx * yy - xy * xy, 1e-30)
    return yy / determinant, xx / determinant


@kernel
def _solve_strip(first, exposures, effective, zero_mean, follow, share, sums, of_means, start, found):
    """Solve r = (b − 1) q − p·g for b and p = b u around each pixel, from the sums of products."""
    s = np.empty(10)
    unknowns = 3 + exposures if zero_mean else 3
    for i in range(share.shape[0]):
        row = first + i
        for j in range(share.shape[1]):
            found[0, row, j], found[1, row, j] = start[0, row, j], start[1, row, j]
            found[GAIN:, row, j] = 0.0
            for m in range(10):
                s[m] = float(sums[m, i, j]) - float(of_means[m, i, j])
            if share[i, j] <= 0 or s[0] <= 0:
                continue
            # the gradient and the residual with what resembles q taken off
            qx, qy, qr = s[1] / s[0], s[2] / s[0], s[3] / s[0]
            xx, xy, yy = s[4] - qx * s[1], s[5] - qx * s[2], s[7] - qy * s[2]
            xr, yr, rr = s[6] - qx * s[3], s[8] - qy * s[3], s[9] - qr * s[3]
            determinant, trace = xx * yy - xy * xy, xx + yy
            if trace <= _LEAST_GRADIENT * share[i, j] or determinant <= _LEAST_DETERMINANT * trace * trace:
                continue
            px, py = (xy * yr - yy * xr) / determinant, (xy * xr - xx * yr) / determinant
            gain = 1.0 + qr + px * qx + py * qy
            if gain < _LEAST_GAIN:
                continue
            ux, uy = px / gain, py / gain
            x0, y0 = float(start[0, row, j]), float(start[1, row, j])
            if follow:
                x0, y0, new_x, new_y = 0.0, 0.0, x0 + ux, y0 + uy
            else:
                new_x, new_y = ux, uy
            if abs(ux - x0) + abs(uy - y0) > _FARTHEST_STEP_PX:
                continue
            left = max(rr + px * xr + py * yr, 0.0)
            freedom = max(exposures * share[i, j] - unknowns * effective, effective)
            variance_x, variance_y = _variances(s, ux, uy)
            variance = left / freedom * effective / (gain * gain)
            mean = gain
            if zero_mean:
                c = of_means[:, i, j]
                both = c[0] + c[3] - ux * (c[1] + c[6]) - uy * (c[2] + c[8])
                reference = _energy(c, ux, uy)
                mean = both / reference if reference > 0 else 0.0
            found[0, row, j], found[1, row, j] = new_x, new_y
            found[GAIN, row, j], found[MEAN, row, j] = gain, mean
            found[ERROR_X, row, j] = np.sqrt(variance * variance_x)
            found[ERROR_Y, row, j] = np.sqrt(variance * variance_y)
            found[SOLVED, row, j] = 1.0
