"""LCS: the optical-flow method for low-coherence systems.

sample = T (reference − u · ∇reference) is solved for T and T u by least squares. The equation is of first
order in u; it is solved from coarse to fine on images binned by powers of two, and on the last level twice
around the displacement found before, with the reference interpolated there. Within a window the displacement
follows what was found before, smoothed over the window, and does not count as constant as in template
matching: where it changes from pixel to pixel, errors are several times smaller than those of UMPA and XST,
for a few per cent more noise.
"""

import math
from functools import partial

import numpy as np

from specksim.retrieval.inputs import check_shift, choose_window
from specksim.retrieval.result import Retrieval
from specksim.retrieval.splines import spline_coefficients
from specksim.retrieval.tracking import prepare, track, tracked
from specksim.retrieval.windows import fit_windows, window_taps
from specksim.setups import Setup

_LEAST_SIDE_PX = 24  # of the coarsest level
_FITS, _COARSEST_FITS = 2, 4  # on the last level and on the first; one in between
_FOLLOW, _LEAST_FOLLOW_PX = 0.4, 1.5  # sigma over which the displacement is smoothed, of the window's side
_COARSE_WINDOW_PX = 13


def lcs(
    reference: np.ndarray,
    sample: np.ndarray,
    *,
    setup: Setup | None = None,
    window: int | None = None,
    max_shift: int = 4,
    workers: int = 1,
) -> Retrieval:
    """Displacement and transmission by the linear equation of low-coherence systems. [1]_

    Parameters
    ----------
    reference, sample : (H, W) or (K, H, W) array
        Counts or relative intensity of K exposures, each at its own position of the sandpaper.
    setup : Setup, optional
        With it the phase is integrated.
    window : int, optional
        Side of the Hamming window over which the equation is solved, pixels, odd. Default: about 13/K^¼, at
        least 5. 1: pixel by pixel, as published, for which K must be >= 3.
    max_shift : int
        Largest displacement along each axis that must be found, pixels: sets the levels of the pyramid.
    workers : int
        Threads.

    Returns
    -------
    Retrieval
        dx, dy, quality, transmission, dx_error, dy_error; phase. Quality is 0 within half a window of the
        border or of what left the frame, and where windows hold no speckle.

    Raises
    ------
    ValueError
        If the images differ in shape, hold NaN or negative counts or no speckle, `window` or `max_shift` does
        not fit the frame, or `window` is 1 and K < 3.

    References
    ----------
    .. [1] Quénot, Rougé-Labriet, Bohic, Berujon and Brun, Optica 8, 1412 (2021). doi:10.1364/OPTICA.434954
    """
    images = prepare(reference, sample, "lcs")
    exposures, shape = len(images.reference), images.live.shape
    window = choose_window(window, exposures, shape, least=1)
    if window == 1 and exposures < 3:
        raise ValueError(f"lcs with window 1 (pixel by pixel) needs at least 3 exposures, got {exposures}")
    check_shift(max_shift, shape)
    maps = track(
        images,
        partial(_start, live=images.live, window=window, max_shift=max_shift, workers=workers),
        window_taps(window, "hamming"),
        fits=_FITS,
        zero_mean=False,
        follow_px=max(_FOLLOW * window, _LEAST_FOLLOW_PX),
        workers=workers,
    )
    parameters = {"max_shift_px": max_shift}
    return tracked(
        images, maps, method="lcs", window=window, setup=setup, visibility=False, parameters=parameters
    )


def _start(
    reference: np.ndarray, sample: np.ndarray, *, live: np.ndarray, window: int, max_shift: int, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Displacement from a pyramid that is high enough for `max_shift`; good everywhere."""
    taps = window_taps(max(window, _COARSE_WINDOW_PX), "hamming")
    highest = int(math.log2(max(min(live.shape) / _LEAST_SIDE_PX, 1)))
    levels = min(max(math.ceil(math.log2(max_shift)), 1), highest)
    return _coarse_shift(reference, sample, live, taps, levels, workers), np.ones(live.shape, bool)


def _coarse_shift(
    reference: np.ndarray,
    sample: np.ndarray,
    live: np.ndarray,
    taps: np.ndarray,
    levels: int,
    workers: int,
) -> np.ndarray:
    """Displacement on the sample's grid, (2, H, W) pixels, from the images binned by 2, 4 … 2^levels."""
    shape = live.shape
    if levels == 0:
        return np.zeros((2, *shape), np.float32)
    halved = [_halved(images) for images in (reference, sample)]
    small = _halved(live.astype(np.float32)[None])[0] > 0.5
    coarse = _coarse_shift(halved[0], halved[1], small, taps, levels - 1, workers)
    coefficients = spline_coefficients(halved[0])
    for _ in range(_COARSEST_FITS if levels == 1 else 1):
        coarse = fit_windows(coefficients, halved[1], small, coarse, taps, zero_mean=False, workers=workers)[
            :2
        ]
    spread = (2 * coarse).repeat(2, axis=1).repeat(2, axis=2)
    missing = [(0, size - have) for size, have in zip(shape, spread.shape[1:], strict=True)]
    return np.pad(spread, ((0, 0), *missing), mode="edge")


def _halved(images: np.ndarray) -> np.ndarray:
    """Means over 2 × 2 pixels; an odd row or column at the end is left out."""
    rows, columns = (size // 2 for size in images.shape[1:])
    even = images[:, : 2 * rows, : 2 * columns]
    lines = even[:, ::2] + even[:, 1::2]
    return np.float32(0.25) * (lines[:, :, ::2] + lines[:, :, 1::2])
