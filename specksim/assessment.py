"""How good a speckle pattern is: its visibility and its size."""

import numpy as np


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
