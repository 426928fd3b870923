"""What every retrieval asks of its images before it starts."""

import numpy as np

from specksim.filling import from_nearest

FEWEST_COUNTS = 20.0
"""Mean below which a pixel of an image of whole numbers may be 0 by chance."""

_CONTRAST = 1e-5  # std/mean below which an image holds nothing but rounding errors
_ONE_EXPOSURE_PX = 13  # the window of one exposure


def as_exposures(reference: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reference and sample as (K, H, W) float32, checked.

    Parameters
    ----------
    reference, sample : (H, W) or (K, H, W) array
        Counts or relative intensity.

    Raises
    ------
    ValueError
        If the shapes differ or are neither (H, W) nor (K, H, W), or an image holds anything but finite
        numbers >= 0, or nothing but 0.
    """
    images = {"reference": np.asarray(reference), "sample": np.asarray(sample)}
    shapes = [image.shape for image in images.values()]
    if shapes[0] != shapes[1]:
        raise ValueError(f"reference and sample must be of one shape, got {shapes[0]} and {shapes[1]}")
    for name, image in images.items():
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(f"{name} must be (H, W) or (K, H, W), got shape {image.shape}")
        if image.dtype.kind not in "uif":
            raise ValueError(f"{name} must hold numbers, got {image.dtype}")
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() > 0):
            raise ValueError(f"{name} must be finite, >= 0 and not all 0")
    taken = [image.astype(np.float32, order="C") for image in images.values()]
    return (taken[0], taken[1]) if taken[0].ndim == 3 else (taken[0][None], taken[1][None])


def speckle_images(
    reference: np.ndarray, sample: np.ndarray, method: str, least: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of a classical method: checked, dead pixels filled, in units of the reference's mean.

    Parameters
    ----------
    reference, sample : (H, W) or (K, H, W) array
    method : str
        For messages.
    least : int
        Exposures that the method needs.

    Returns
    -------
    reference, sample : (K, H, W) float32
        Relative to the mean of the whole reference; dead pixels hold the value of the nearest live one.
    live : (H, W) bool
        False where reference or sample is 0 in every exposure: dead pixels, and where no light falls. In
        whole numbers with a mean below 20 counts a 0 is a count like others.

    Raises
    ------
    ValueError
        As `as_exposures`, and if there are fewer exposures than needed or an image is constant.
    """
    reference, sample = as_exposures(reference, sample)
    if len(reference) < least:
        raise ValueError(f"{method} needs at least {least} exposures, got {len(reference)}")
    for name, images in (("reference", reference), ("sample", sample)):
        for number, image in enumerate(images):
            if image.std(dtype=np.float64) <= _CONTRAST * image.mean(dtype=np.float64):
                raise ValueError(f"{name} must show speckle, but exposure {number} is constant")
    live = _lit(reference) & _lit(sample)
    scale = np.float32(1.0 / reference.mean(dtype=np.float64))
    reference, sample = reference * scale, sample * scale
    if not live.all():
        reference, sample = from_nearest(np.stack([reference, sample]), live)
    return reference, sample, live


def _lit(images: np.ndarray) -> np.ndarray:
    lit = np.any(images > 0, axis=0)
    if not lit.all() and images.mean(dtype=np.float64) < FEWEST_COUNTS and (images == np.rint(images)).all():
        return np.ones_like(lit)
    return lit


def choose_window(window: int | None, exposures: int, shape: tuple[int, ...], least: int = 3) -> int:
    """Side of the analysis window, pixels.

    Parameters
    ----------
    window : int or None
        What was asked for; None: an odd number next to 13/K^¼, at least 5, so that both noise and
        resolution gain from more exposures.
    exposures : int
        K.
    shape : (int, int)
        Rows and columns of the frame.
    least : int
        Smallest window that the method can do with.

    Raises
    ------
    ValueError
        If the window is even, smaller than `least`, or larger than the frame.
    """
    if window is None:
        wanted = max(2 * round((_ONE_EXPOSURE_PX / exposures**0.25 - 1) / 2) + 1, 5, least)
        window = min(wanted, 2 * ((min(shape) - 1) // 2) + 1)
    if window % 2 == 0 or window < least:
        raise ValueError(f"window must be an odd number >= {least}, got {window}")
    if window > min(shape):
        raise ValueError(f"window must not exceed the frame of {shape[0]} × {shape[1]} pixels, got {window}")
    return window


def check_shift(max_shift: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `max_shift` is >= 1 and smaller than half of the frame."""
    if not 1 <= max_shift < min(shape) / 2:
        raise ValueError(
            f"max_shift must be >= 1 and less than half of the frame of {shape[0]} × {shape[1]} pixels, "
            f"got {max_shift}"
        )
