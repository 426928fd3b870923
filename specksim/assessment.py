"""How good a speckle pattern is: its visibility, its size, and how well displacements can be read from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WINDOWS = (5, 9, 13, 21, 31)
"""Sides of the windows, pixels, for which the bound is told."""

_USUAL_WINDOW = 13
_WEAK, _FINE_PX, _COARSE_PX, _NOISY_PX = 0.1, 2.0, 8.0, 0.05
_LEAST_SIDE = 16
_HIGHEST = 0.4  # cycles a pixel along both axes, beyond which there is noise alone


@dataclass(frozen=True)
class Assessment:
    """What can be expected of a speckle pattern.

    Attributes
    ----------
    mean : float
        Counts.
    noise_variance : float
        Counts².
    visibility : float
        Standard deviation over mean, without noise.
    size_px : (float, float)
        FWHM of the autocorrelation along rows (y) and columns (x), without noise.
    bounds_px : mapping of int to (float, float)
        For each window's side the least standard deviation along y and x, see `displacement_bound_px`.
    """

    mean: float
    noise_variance: float
    visibility: float
    size_px: tuple[float, float]
    bounds_px: Mapping[int, tuple[float, float]]

    @property
    def photons(self) -> float:
        """Photons per pixel that would make this noise, mean² / variance."""
        return self.mean**2 / self.noise_variance if self.noise_variance > 0 else math.inf

    def advice(self) -> list[str]:
        """What is wrong with the pattern and what would help; empty for a good one."""
        found = []
        if self.visibility < _WEAK:
            found.append(
                f"too weak: visibility {self.visibility:.3f} is below {_WEAK}; more sheets of sandpaper, a "
                "longer distance, a smaller source or a sharper detector would raise it"
            )
        if min(self.size_px) < _FINE_PX:
            found.append(
                f"too fine: {min(self.size_px):.1f} px is below {_FINE_PX:g} px, sub-pixel displacements are "
                "biased; coarser grains, smaller pixels or more magnification would widen it"
            )
        if max(self.size_px) > _COARSE_PX:
            found.append(
                f"too coarse: {max(self.size_px):.1f} px is above {_COARSE_PX:g} px, few speckles fit into a "
                "window and its gradients are shallow; finer grains, larger pixels or less magnification "
                "would narrow it"
            )
        noisy = max(self.bounds_px[_USUAL_WINDOW])
        if noisy > _NOISY_PX:
            found.append(
                f"too noisy: in {_USUAL_WINDOW} × {_USUAL_WINDOW} pixels no unbiased method is better than "
                f"{noisy:.2g} px; a longer exposure or several positions of the sandpaper would help"
            )
        return found


def assess(image: np.ndarray, noise_variance: float | None = None) -> Assessment:
    """Measure a speckle pattern.

    Parameters
    ----------
    image : (H, W) array
        Counts or relative intensity, without an object.
    noise_variance : float, optional
        Variance of its white noise: the mean, for photon counts. Default: `highest_frequencies`.

    Returns
    -------
    Assessment

    Raises
    ------
    ValueError
        If the image is not 2-D, less than 16 pixels wide or high, or its mean is not > 0.
    """
    image = _image(image)
    if min(image.shape) < _LEAST_SIDE:
        raise ValueError(f"image must be at least {_LEAST_SIDE} pixels wide and high, got {image.shape}")
    noise = highest_frequencies(image) if noise_variance is None else noise_variance
    return Assessment(
        mean=float(image.mean()),
        noise_variance=noise,
        visibility=visibility(image, noise),
        size_px=speckle_size_px(image, noise),
        bounds_px={window: displacement_bound_px(image, window, noise) for window in WINDOWS},
    )


def mean_assessment(parts: Sequence[Assessment]) -> Assessment:
    """The mean of every figure over one or more patterns of the same kind."""
    return Assessment(
        mean=float(np.mean([part.mean for part in parts])),
        noise_variance=float(np.mean([part.noise_variance for part in parts])),
        visibility=float(np.mean([part.visibility for part in parts])),
        size_px=_mean_pair([part.size_px for part in parts]),
        bounds_px={window: _mean_pair([part.bounds_px[window] for part in parts]) for window in WINDOWS},
    )


def _mean_pair(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    first, second = np.mean(pairs, axis=0)
    return float(first), float(second)


def visibility(image: np.ndarray, noise_variance: float = 0.0) -> float:
    """Standard deviation over mean of a speckle image.

    Parameters
    ----------
    image : (H, W) array
        Counts or relative intensity.
    noise_variance : float
        Variance of the noise, which is taken off: the mean, for photon counts.

    Returns
    -------
    float
        Visibility of the speckle behind the noise; 0 where noise explains all of the variance.

    Raises
    ------
    ValueError
        If the image is not 2-D or its mean is not > 0.
    """
    image = _image(image)
    return float(np.sqrt(max(image.var() - noise_variance, 0.0)) / image.mean())


def speckle_size_px(image: np.ndarray, noise_variance: float = 0.0) -> tuple[float, float]:
    """Width of the autocorrelation peak (FWHM) along rows and along columns.

    Parameters
    ----------
    image : (H, W) array
        Counts or relative intensity.
    noise_variance : float
        Variance of white noise, which stands in the peak's middle alone and is taken off there.

    Returns
    -------
    width_y, width_x : float
        FWHM along axis 0 and axis 1, pixels, linear between lags; inf where the correlation does not
        fall to one half, nan for an image without speckle.

    Raises
    ------
    ValueError
        If the image is not 2-D or its mean is not > 0.
    """
    image = _image(image) - image.mean()
    lags = [size // 2 for size in image.shape]
    # zeros around the image: the correlation must not wrap
    spectrum = np.fft.rfft2(image, [2 * size for size in image.shape])
    correlation = np.fft.irfft2(np.abs(spectrum) ** 2, [2 * size for size in image.shape])
    widths = []
    for axis in (0, 1):
        overlap = image.size * (1 - np.arange(lags[axis]) / image.shape[axis])
        curve = np.take(np.take(correlation, 0, axis=1 - axis), np.arange(lags[axis])) / overlap
        curve[0] -= noise_variance
        widths.append(_full_width(curve))
    return widths[0], widths[1]


def highest_frequencies(image: np.ndarray) -> float:
    """Variance that white noise would have if it were all there is at the highest spatial frequencies.

    Parameters
    ----------
    image : (H, W) array
        Counts or relative intensity.

    Returns
    -------
    float
        Mean power beyond 0.4 cycles a pixel along both axes. Right where speckle and detector are a few
        pixels wide; too large by what finer speckle has there (two to three times for 2000 photons and
        speckle 2.9 px wide), and too small where the noise itself is blurred.

    Raises
    ------
    ValueError
        If the image is not 2-D or its mean is not > 0.
    """
    power, y, x = _power(_image(image))
    highest = (np.abs(y) >= _HIGHEST * 2 * np.pi) & (np.abs(x) >= _HIGHEST * 2 * np.pi)
    return float(power[highest].mean())


def displacement_bound_px(image: np.ndarray, window: int, noise_variance: float) -> tuple[float, float]:
    """Cramér–Rao bound of the displacement of a window between two images with white noise.

    Parameters
    ----------
    image : (H, W) array
        Counts or relative intensity. The bound is that of a window with the image's mean gradients.
    window : int
        Side of the window, pixels.
    noise_variance : float
        Of each of the two images.

    Returns
    -------
    sigma_y, sigma_x : float
        Least standard deviation along rows and columns of any unbiased estimate of one displacement for the
        whole window, pixels; 0 without noise, inf where the image has no gradients.

    Raises
    ------
    ValueError
        If the image is not 2-D or its mean is not > 0, the window is < 1, or the variance is negative.

    Notes
    -----
    Cov ≥ 2σ² [Σ ∇I ∇Iᵀ]⁻¹: the noise of both images counts. For one image see Pan et al., Optics Express 16,
    7037 (2008), doi:10.1364/OE.16.007037. The gradients' mean square is the second moment of the power
    spectrum, less that of the noise.
    """
    image = _image(image)
    if window < 1:
        raise ValueError(f"window must be >= 1, got {window}")
    if not noise_variance >= 0:
        raise ValueError(f"noise_variance must be >= 0, got {noise_variance}")
    power, y, x = _power(image)
    power -= noise_variance
    yy, xx, xy = (float(np.mean(power * product)) for product in (y * y, x * x, x * y))
    determinant = yy * xx - xy * xy
    if min(yy, xx) <= 1e-12 * image.mean() ** 2 or determinant <= 1e-9 * yy * xx:
        return math.inf, math.inf
    scale = 2 * noise_variance / window**2 / determinant
    return math.sqrt(scale * xx), math.sqrt(scale * yy)


def _power(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power spectrum whose mean is the variance, tapered, and its angular frequencies along y and x."""
    taper = np.outer(*(np.hanning(size + 2)[1:-1] for size in image.shape))
    power = np.abs(np.fft.fft2((image - image.mean()) * taper)) ** 2 / np.sum(taper**2)
    y, x = (2 * np.pi * np.fft.fftfreq(size) for size in image.shape)
    return power, y[:, None], x[None, :]


def _full_width(curve: np.ndarray) -> float:
    if curve[0] <= 0:
        return float("nan")
    below = np.flatnonzero(curve < 0.5 * curve[0])
    if below.size == 0:
        return float("inf")
    k = below[0]
    return float(2 * (k - 1 + (curve[k - 1] - 0.5 * curve[0]) / (curve[k - 1] - curve[k])))


def _image(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image, dtype=np.float64)
    if image.ndim != 2:
        raise ValueError(f"image must be 2-D, got shape {image.shape}")
    if not image.mean() > 0:
        raise ValueError(f"the image's mean must be > 0, got {image.mean()}")
    return image
