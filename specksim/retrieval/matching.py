"""Search for the whole-pixel shift under which windows of reference and sample match best.

Around each pixel y of the sample and for every shift u in a square, the model of UMPA is fitted in closed
form (sums over the window w and the exposures k, ⟨⟩ weighted means over the window):

    plain      sample = T · reference(y + w − u),  T = Σₖ⟨I R⟩ / Σₖ⟨R²⟩,
               what it explains of the sample's energy: (Σₖ⟨I R⟩)² / Σₖ⟨R²⟩
    zero-mean  sample = T · [m + D · (reference − m)],  T = Σₖ m ⟨I⟩ / Σₖ m²,  T D = Σₖ cov(I, R) / Σₖ var(R)
               explained: (Σₖ m ⟨I⟩)² / Σₖ m² + (Σₖ cov)² / Σₖ var

Only ⟨I R⟩ depends on y and u both; all else are maps, shifted. The least cost is the most that is explained.
For one exposure the zero-mean form is the zero-normalised cross-correlation.
"""

import numpy as np

from specksim.compiled import kernel
from specksim.retrieval.windows import in_strips, smooth, window_means

FITS = 3
"""Least-squares fits after the parabola, which is wrong by up to half a pixel: of the error of 0.02 px (RMS)
on identical images the first leaves 1e-4 px, the second 1e-6 px, the third rounding errors."""

_STRIP_ROWS = 16
_LEAST_VARIANCE = 1e-9  # of a window, relative to the squared mean: nothing but rounding errors


def match_windows(
    reference: np.ndarray,
    sample: np.ndarray,
    taps: np.ndarray,
    max_shift: int,
    *,
    zero_mean: bool,
    workers: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Displacement of the best match, refined by a parabola through the cost's minimum along each axis.

    Parameters
    ----------
    reference, sample : (K, H, W) float32
        Relative to the reference's mean.
    taps : (n,) float32
        Weights of the window along each axis, n odd.
    max_shift : int
        Largest shift along each axis, pixels; all shifts up to one pixel more are tried, so that a minimum
        at `max_shift` has neighbours.
    zero_mean : bool
        Which of the two models.
    workers : int
        Threads.

    Returns
    -------
    shift : (2, H, W) float32
        ux, uy on the sample's grid, pixels: what is at y in the sample is at y − u(y) in the reference.
    good : (H, W) bool
        Whether the minimum lies within the range that was searched, not at its end, and its windows within
        both frames.
    """
    half, reach = len(taps) // 2, max_shift + 1
    padded = [
        np.pad(images, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
        for images, margin in ((reference, half + reach), (sample, half))
    ]
    shape = sample.shape[1:]
    shift, inside = np.zeros((2, *shape), np.float32), np.zeros(shape, np.bool_)
    means, squares = (window_means(images, taps, None) for images in (padded[0], padded[0] ** 2))
    squares = squares.sum(axis=0)
    sample_means = window_means(padded[1], taps, None)
    if zero_mean:
        energy = np.maximum(squares - (means**2).sum(axis=0), _LEAST_VARIANCE)
    else:
        energy = np.maximum(squares, _LEAST_VARIANCE)

    def work(first: int, last: int) -> None:
        _match_strip(first, last, *padded, means, sample_means, energy, taps, reach, zero_mean, shift, inside)

    in_strips(work, shape[0], workers, _STRIP_ROWS)
    return shift, inside & _complete(shift, half)


def _complete(shift: np.ndarray, half: int) -> np.ndarray:
    """Whether the windows around y in the sample and around y − u in the reference lie within the frame."""
    rows, columns = shift.shape[1:]
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    complete = np.ones((rows, columns), bool)
    for place, size in ((y, rows), (x, columns), (y - shift[1], rows), (x - shift[0], columns)):
        complete &= (place > half - 1) & (place < size - half)
    return complete


@kernel
def _match_strip(
    first, last, reference, sample, means, sample_means, energy, taps, reach, zero_mean, shift, inside
):
    side, rows, columns = 2 * reach + 1, last - first, shift.shape[2]
    high, wide = rows + taps.shape[0] - 1, sample.shape[2]
    product = np.empty((high, wide), np.float32)
    half_done = np.empty(wide, np.float32)
    explained = np.empty((side, side, rows, columns), np.float32)
    for a in range(side):  # uy = a − reach: the reference is read at y − uy
        for b in range(side):
            top, left = first + 2 * reach - a, 2 * reach - b
            product[:] = 0.0
            for k in range(sample.shape[0]):
                for i in range(high):
                    for j in range(wide):
                        product[i, j] += sample[k, first + i, j] * reference[k, top + i, left + j]
            score = explained[a, b]
            smooth(product, taps, half_done, score)
            if zero_mean:
                _explained_zero_mean(score, first, top, left, means, sample_means, energy)
            else:
                for i in range(rows):
                    for j in range(columns):
                        score[i, j] = score[i, j] * score[i, j] / energy[top + i, left + j]
    _find_best(first, explained, reach, shift, inside)


@kernel
def _explained_zero_mean(score, first, top, left, means, sample_means, energy):
    rows, columns = score.shape
    exposures = means.shape[0]
    for i in range(rows):
        for j in range(columns):
            common = squared = np.float32(0.0)
            for k in range(exposures):
                mean = means[k, top + i, left + j]
                common += mean * sample_means[k, first + i, j]
                squared += mean * mean
            covariance = score[i, j] - common
            score[i, j] = covariance * abs(covariance) / energy[top + i, left + j]
            if exposures > 1 and squared > 0:  # of one exposure the mean is always explained
                score[i, j] += common * common / squared


@kernel
def _find_best(first, explained, reach, shift, inside):
    side = 2 * reach + 1
    rows, columns = explained.shape[2:]
    best = np.empty(columns, np.float32)
    where = np.empty(columns, np.int64)
    for i in range(rows):
        best[:] = explained[reach, reach, i]
        where[:] = reach * side + reach
        for m in range(side * side):
            scores = explained[m // side, m % side, i]
            for j in range(columns):
                if scores[j] > best[j]:
                    best[j] = scores[j]
                    where[j] = m
        for j in range(columns):
            a, b = where[j] // side, where[j] % side
            ux, uy = float(b - reach), float(a - reach)
            if 0 < a < side - 1 and 0 < b < side - 1:
                inside[first + i, j] = True
                ux += _vertex(explained[a, b - 1, i, j], best[j], explained[a, b + 1, i, j])
                uy += _vertex(explained[a - 1, b, i, j], best[j], explained[a + 1, b, i, j])
            shift[0, first + i, j], shift[1, first + i, j] = ux, uy


@kernel
def _vertex(before, middle, behind):
    """Where the parabola through three values at −1, 0 and 1 has its maximum, the middle being largest."""
    curvature = 2.0 * middle - before - behind
    if curvature <= 0.0:
        return 0.0
    return min(max(0.5 * (behind - before) / curvature, -0.5), 0.5)
