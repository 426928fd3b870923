"""What the window-based trackers share: from images to a `Retrieval` on the reference's grid."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from specksim.detector import gaussian_taps
from specksim.filling import from_nearest
from specksim.retrieval.alignment import agreement
from specksim.retrieval.inputs import check_shift, choose_window, speckle_images
from specksim.retrieval.integration import integrate_phase
from specksim.retrieval.matching import FITS, match_windows
from specksim.retrieval.result import Retrieval
from specksim.retrieval.splines import spline_coefficients, to_reference_grid
from specksim.retrieval.windows import (
    ERROR_X,
    ERROR_Y,
    GAIN,
    MEAN,
    SOLVED,
    fit_windows,
    window_means,
    window_taps,
)
from specksim.setups import Setup

SMOOTHING_PX = 0.7
"""Gaussian (sigma) by which both images are smoothed first. A detector's pixels alias the finest of the
speckle, which then moves the wrong way; with it smoothed away most of the bias that this leaves is gone, for
hardly more noise."""

_LEAST_BORDER_PX = 3  # as far as smoothing and interpolation reach

Start = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(reference, sample) to the rough displacement (2, H, W) on the sample's grid and where it is good."""


@dataclass(frozen=True)
class Images:
    """A pair made ready for matching; see `speckle_images`."""

    reference: np.ndarray
    sample: np.ndarray
    live: np.ndarray
    noise_factor: float  # by which smoothing has lowered the residual more than the errors


def prepare(reference: np.ndarray, sample: np.ndarray, method: str, least: int = 1) -> Images:
    """Check and smooth the images; errors as `speckle_images`."""
    reference, sample, live = speckle_images(reference, sample, method, least)
    smoothed = smoothed_by(reference, SMOOTHING_PX)
    return Images(smoothed, smoothed_by(sample, SMOOTHING_PX), live, _noise_factor(smoothed))


def smoothed_by(images: np.ndarray, sigma_px: float) -> np.ndarray:
    """Images (K, H, W) convolved with a Gaussian."""
    return window_means(images, gaussian_taps(sigma_px).astype(np.float32))


def _noise_factor(smoothed: np.ndarray) -> float:
    """Standard error with correlated noise over that with white noise of the same variance.

    The noise of Σ g n, n smoothed by h, is that of Σ (h∗g) n with n white, whose variance is larger by 1/Σh².
    """

    def slope(image: np.ndarray) -> float:
        return float(np.mean(np.diff(image, axis=0) ** 2) + np.mean(np.diff(image, axis=1) ** 2))

    kept = float((gaussian_taps(SMOOTHING_PX) ** 2).sum() ** 2)
    once = smoothed[:1]
    return float(np.sqrt(slope(smoothed_by(once, SMOOTHING_PX)[0]) / slope(once[0]) / kept))


def track(
    images: Images,
    start: Start,
    taps: np.ndarray,
    *,
    fits: int,
    zero_mean: bool,
    follow_px: float = 0.0,
    workers: int,
) -> np.ndarray:
    """Maps of `fit_windows`, called `fits` times, on the reference's grid, from a rough displacement.

    With `follow_px` the displacement follows, within a window, what was found before, smoothed by a Gaussian
    of that sigma.

    Where `start` is not good, that of the nearest good pixel is taken instead; where the equations cannot be
    solved, the result of the nearest pixel where they can. SOLVED is 0 in both cases.
    """
    shift, good = start(images.reference, images.sample)
    shift = from_nearest(shift, good)
    coefficients = spline_coefficients(images.reference)
    for _ in range(fits):
        if follow_px:
            shift = smoothed_by(shift, follow_px)
        fitted = fit_windows(
            coefficients,
            images.sample,
            images.live,
            shift,
            taps,
            zero_mean=zero_mean,
            follow=follow_px > 0,
            workers=workers,
        )
        shift = fitted[:2]
    solved = fitted[SOLVED] > 0
    fitted = from_nearest(fitted, solved)
    fitted[SOLVED] = solved & good
    return to_reference_grid(fitted)


def tracked(
    images: Images,
    maps: np.ndarray,
    *,
    method: str,
    window: int,
    setup: Setup | None,
    visibility: bool,
    parameters: dict[str, Any],
) -> Retrieval:
    """A `Retrieval` of the maps of `track`.

    `visibility` says that the gain is T·D and a dark field can be given. The transmission is T as found, t
    over |det(I + ∇d)|: multiplied by that determinant of the found d it would be further from t, for its
    noise.
    """
    dx, dy = maps[:2]
    trust = (maps[SOLVED] > 0.5) * ndimage.uniform_filter(
        images.live.astype(np.float32), window, mode="nearest"
    )
    mean, gain = maps[MEAN], maps[GAIN]
    result = Retrieval(
        dx,
        dy,
        agreement(images.reference, images.sample, dx, dy, max(window // 2, _LEAST_BORDER_PX)) * trust,
        transmission=np.maximum(mean, 0.0),
        dark_field=_ratio(gain, mean) if visibility else None,
        dx_error=np.maximum(maps[ERROR_X], 0.0) * np.float32(images.noise_factor),
        dy_error=np.maximum(maps[ERROR_Y], 0.0) * np.float32(images.noise_factor),
        method=method,
        parameters={"exposures": len(images.reference), "window_px": window, **parameters},
    )
    return with_phase(result, setup)


def _ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.divide(first, second, out=np.zeros_like(first), where=second > 0)


def track_by_matching(
    reference: np.ndarray,
    sample: np.ndarray,
    *,
    method: str,
    window: int | None,
    kind: str,
    max_shift: int,
    zero_mean: bool,
    setup: Setup | None,
    workers: int,
) -> Retrieval:
    """The whole of a method that searches the best whole-pixel shift and refines it; see `umpa` and `xst`.

    `kind` is that of the window, see `window_taps`; `zero_mean` says which model, and that the visibility is
    found.
    """
    images = prepare(reference, sample, method)
    window = choose_window(window, len(images.reference), images.live.shape)
    check_shift(max_shift, images.live.shape)
    taps = window_taps(window, kind)
    match = partial(match_windows, taps=taps, max_shift=max_shift, zero_mean=zero_mean, workers=workers)
    maps = track(images, match, taps, fits=FITS, zero_mean=zero_mean, workers=workers)
    parameters = {"max_shift_px": max_shift}
    return tracked(
        images, maps, method=method, window=window, setup=setup, visibility=zero_mean, parameters=parameters
    )


def with_phase(result: Retrieval, setup: Setup | None) -> Retrieval:
    """The same with the phase that the displacement integrates to, weighted by quality, given a setup."""
    if setup is None or not (result.quality > 0).any():
        return result
    phase = integrate_phase(result.dx, result.dy, setup, weights=result.quality)
    return replace(result, phase=phase.astype(np.float32))
