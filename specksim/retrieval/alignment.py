"""What differs between two exposures as a whole, and how well they agree pixel by pixel."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from specksim.retrieval.windows import window_means

_LOWEST, _HIGHEST = 1 / 32, 0.25  # cycles per pixel: between the beam's profile and photon noise
_LEAST_SIGNIFICANCE = 8.0  # in standard deviations of the correlation of unrelated images
_SOFTENING = 0.01  # of the mean: frequencies where neither image holds anything but rounding errors
_FLUX_BLOCK_PX = 32
_WINDOW_PX = 9
BORDER_PX = 8


@dataclass(frozen=True)
class Drift:
    """Shift of the whole sample image against the reference, whole pixels along columns and rows.

    `found` says whether the two share a pattern at all; if not, the shift is 0.
    """

    dx: int
    dy: int
    found: bool


def find_drift(reference: np.ndarray, sample: np.ndarray) -> Drift:
    """Shift of the pattern from reference to sample by phase correlation.

    Parameters
    ----------
    reference, sample : (H, W) float32

    Returns
    -------
    Drift
        Within a quarter of the frame along each axis. What is at x in the reference is at x + drift in the
        sample, for the most part of the frame.

    Notes
    -----
    Frequencies below 1/32 and around the noise count little: the profile of the beam does not move with the
    sandpaper.
    """
    height, width = reference.shape
    taper = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    spectra = [
        fft.rfft2((image - image.mean(dtype=np.float64)).astype(np.float32) * taper.astype(np.float32))
        for image in (reference, sample)
    ]
    cross = np.conj(spectra[0]) * spectra[1]
    size = np.abs(cross)
    radius = np.hypot(fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None, :])
    weight = np.where(radius < _LOWEST, 0.0, np.exp(-0.5 * (radius / _HIGHEST) ** 2)).astype(np.float32)
    softened = size + np.float32(_SOFTENING) * size.mean() + np.float32(np.finfo(np.float32).tiny)
    whitened = cross / softened * weight
    correlation = fft.irfft2(whitened, s=(height, width))
    lags = [fft.fftfreq(n, 1 / n).round().astype(int) for n in (height, width)]
    near = np.ix_(*(np.flatnonzero(np.abs(lag) <= len(lag) // 4) for lag in lags))
    row, column = np.unravel_index(np.argmax(correlation[near]), correlation[near].shape)
    row, column = near[0][row, 0], near[1][0, column]
    spread = float(correlation.std())
    found = bool(correlation[row, column] > _LEAST_SIGNIFICANCE * spread > 0)
    return Drift(int(lags[1][column]), int(lags[0][row]), True) if found else Drift(0, 0, False)


def shift_back(sample: np.ndarray, drift: Drift) -> np.ndarray:
    """The sample with a drift undone, sample(x + drift); beyond the frame its border's values."""
    rows = np.clip(np.arange(sample.shape[0]) + drift.dy, 0, sample.shape[0] - 1)
    columns = np.clip(np.arange(sample.shape[1]) + drift.dx, 0, sample.shape[1] - 1)
    return sample[np.ix_(rows, columns)]


def flux_ratio(reference: np.ndarray, sample: np.ndarray) -> float:
    """Counts of the sample image over those of the reference, in the median over blocks of 32 pixels.

    An object that covers less than half of the frame does not enter. 1 where no block has light.
    """
    means = []
    for image in (reference, sample):
        rows, columns = (max(size // _FLUX_BLOCK_PX, 1) for size in image.shape)
        height, width = image.shape[0] // rows, image.shape[1] // columns
        blocks = image[: rows * height, : columns * width].reshape(rows, height, columns, width)
        means.append(blocks.mean(axis=(1, 3), dtype=np.float64))
    lit = (means[0] > 0) & (means[1] > 0)
    return float(np.median(means[1][lit] / means[0][lit])) if lit.any() else 1.0


def compare(
    reference: np.ndarray, sample: np.ndarray, dx: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How well a displacement explains the sample, and the transmission that it leaves.

    Parameters
    ----------
    reference, sample : (H, W) float32
    dx, dy : (H, W) float32
        Displacement from reference to sample, pixels.

    Returns
    -------
    quality : (H, W) float32
        See `agreement`.
    transmission : (H, W) float32
        Ratio of the counts that windows of 9 × 9 pixels receive and send: t, since sample(x + d) |det(I +
        ∇d)| is t times the reference. 0 where the reference has no light.
    """
    pulled = _pulled(sample, dx, dy)
    quality = _correlation([(reference, pulled)])
    quality[_left_frame(dx, dy, BORDER_PX)] = 0.0
    pulled *= area_ratio(dx, dy)
    sent, received = (_box_mean(image) for image in (reference, pulled))
    transmission = np.divide(received, sent, out=np.zeros_like(sent), where=sent > 0)
    return quality, transmission


def agreement(
    reference: np.ndarray,
    sample: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    border_px: int = BORDER_PX,
) -> np.ndarray:
    """How well a displacement explains the sample: the quality of a `Retrieval`.

    Parameters
    ----------
    reference, sample : (K, H, W) float32
    dx, dy : (H, W) float32
        Displacement from reference to sample, pixels.
    border_px : int
        How far what is not in the frame reaches.

    Returns
    -------
    (H, W) float32
        Correlation of the reference with sample(x + d(x)) in windows of 9 × 9 pixels of all exposures, 0 to
        1. 0 within `border_px` of the border and of where x + d(x) lies outside of the frame.
    """
    quality = _correlation(
        [(image, _pulled(moved, dx, dy)) for image, moved in zip(reference, sample, strict=True)]
    )
    quality[_left_frame(dx, dy, border_px)] = 0.0
    return quality


def _pulled(sample: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """sample(x + d(x)), linear between pixels."""
    rows, columns = (np.arange(size, dtype=np.float32) for size in sample.shape)
    place = np.stack([rows[:, None] + dy, columns[None, :] + dx])
    pulled: np.ndarray = ndimage.map_coordinates(sample, place, order=1, mode="nearest")
    return pulled


def _left_frame(dx: np.ndarray, dy: np.ndarray, border_px: int) -> np.ndarray:
    """Within `border_px` of the border and of where x + d(x) lies outside of the frame."""
    height, width = dx.shape
    rows, columns = np.arange(height)[:, None] + dy, np.arange(width)[None, :] + dx
    outside = (rows < -0.5) | (rows > height - 0.5) | (columns < -0.5) | (columns > width - 0.5)
    # what lies beyond the frame counts as outside, too
    near: np.ndarray = ndimage.maximum_filter(outside, 2 * border_px + 1, mode="constant", cval=True)
    return near


def area_ratio(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """|det(I + ∇d)|: the area onto which a pixel's light is spread, pixels."""
    return np.abs(
        (1 + np.gradient(dx, axis=1)) * (1 + np.gradient(dy, axis=0))
        - np.gradient(dx, axis=0) * np.gradient(dy, axis=1)
    ).astype(np.float32)


def _box_mean(values: np.ndarray) -> np.ndarray:
    """Mean over windows of 9 × 9 pixels, the image mirrored at its border."""
    taps = np.full(_WINDOW_PX, 1 / _WINDOW_PX, np.float32)
    mean: np.ndarray = window_means(values[None], taps)[0]
    return mean


def _correlation(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Local correlation coefficient of all pairs, negative values as 0; 0 where images are constant."""
    variances, covariance = np.zeros((2, *pairs[0][0].shape), np.float32), np.zeros_like(pairs[0][0])
    for pair in pairs:
        # around the mean, in units of it: sums of squares of raw counts would lose float32's digits
        first, second = (image / np.float32(max(float(image.mean()), 1e-30)) - 1 for image in pair)
        means = _box_mean(first), _box_mean(second)
        variances[0] += _box_mean(first**2) - means[0] ** 2
        variances[1] += _box_mean(second**2) - means[1] ** 2
        covariance += _box_mean(first * second) - means[0] * means[1]
    product = variances[0] * variances[1]
    some = (product > 1e-12) & (variances[0] > 0)
    root = np.sqrt(product, out=np.ones_like(product), where=some)
    return np.where(some, np.clip(covariance / root, 0.0, 1.0), 0.0).astype(np.float32)


def align(reference: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, Drift, float]:
    """A pair without its drift of whole pixels, and with the flux of the reference.

    Parameters
    ----------
    reference, sample : (H, W) float32

    Returns
    -------
    images : (H, W, 2) float32
        Reference and sample.
    drift : Drift
        Taken off the sample.
    flux : float
        What the sample was divided by.
    """
    drift = find_drift(reference, sample)
    aligned = shift_back(sample, drift)
    flux = flux_ratio(reference, aligned)
    return np.stack([reference, aligned / np.float32(flux)], axis=-1), drift, flux
