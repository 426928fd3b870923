"""Measured references as speckle fields.

A measured image holds the blur of its detector and the mean over its pixels already. It becomes the field
that gives this image back when it is deposited at rest and binned with no other blur, so that moving the
field by any part of a pixel moves the image by that, and nothing is blurred twice.
"""

import hashlib
import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.fft import dctn, idctn

from specksim.images import Correction, open_images, read_image
from specksim.optics.rays import SPLINE_AT_REST
from specksim.sandpaper import SpeckleField
from specksim.setups import Setup

_STRAY_RANGE, _STRAY_NOISE = 2.0, 6.0
_MAD_TO_SIGMA = 1.4826
_MOST_DEFECTS = 0.02
_RAY_BYTES = 16
_NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


@dataclass(frozen=True)
class MeasuredReference:
    """Files that hold a measured reference.

    Attributes
    ----------
    image : str
        TIFF, `FILE.h5::/path` or NumPy file: one image of the sandpaper without an object, counts.
    dark, flat : str or None
        Counts without beam; counts of the beam alone. The mean is taken where a file holds several frames.
    """

    image: str
    dark: str | None = None
    flat: str | None = None

    @classmethod
    def create(
        cls,
        image: str | os.PathLike[str],
        dark: str | os.PathLike[str] | None = None,
        flat: str | os.PathLike[str] | None = None,
    ) -> "MeasuredReference":
        """Files by absolute names, so that other processes find them."""
        return cls(_absolute(image), *(None if name is None else _absolute(name) for name in (dark, flat)))

    def read(self) -> np.ndarray:
        """The image after dark and flat correction, (H, W) float32, counts.

        Raises
        ------
        ValueError, OSError
            As `images.read_image` and `images.Correction`.
        """
        return Correction.read(self.dark, self.flat).apply(read_image(self.image))

    def admit(self, setup: Setup) -> tuple[Setup, str]:
        """Check the image, and say what a request for its speckle holds.

        Returns
        -------
        setup : Setup
            The setup without blur of detector and source, which the image brings with it.
        sha256 : str
            Hash of the corrected image: of its shape and pixels.

        Raises
        ------
        ValueError
            If the image is smaller than the frame, or as `clean` and `read`.
        OSError
            As `read`.
        """
        image = self.read()
        frame = setup.detector.shape
        if image.shape[0] < frame[0] or image.shape[1] < frame[1]:
            raise ValueError(
                f"{self.image}: the reference must hold the frame of {frame[0]} × {frame[1]} pixels, got "
                f"{image.shape[0]} × {image.shape[1]}: lower detector.rows and detector.columns"
            )
        clean(image, self.image)
        return setup.with_values(detector__psf_sigma_px=0.0, beam__source_fwhm_um=0.0), _hash(image)

    def field_bytes(self, oversampling: int) -> int:
        """About the memory that `measured_field` takes, bytes."""
        with open_images(self.image) as images:
            return _RAY_BYTES * images.shape[1] * images.shape[2] * oversampling**2


def _absolute(name: str | os.PathLike[str]) -> str:
    file, separator, inner = os.fspath(name).partition("::")
    return f"{Path(file).absolute()}{separator}{inner}"


def _hash(image: np.ndarray) -> str:
    return hashlib.sha256(f"{image.shape}".encode() + image.astype("<f4").tobytes()).hexdigest()


@lru_cache(maxsize=1)  # every shard of a process uses the same
def measured_field(reference: MeasuredReference, sha256: str, oversampling: int) -> SpeckleField:
    """Speckle field of a measured reference on the ray grid.

    Parameters
    ----------
    reference : MeasuredReference
    sha256 : str
        What `MeasuredReference.admit` said when the data set was asked for.
    oversampling : int
        Rays per pixel and axis.

    Returns
    -------
    SpeckleField
        Not periodic, relative to its mean.

    Raises
    ------
    ValueError
        If the image is another one by now, or as `clean`.
    OSError
        If it cannot be read.
    """
    image = reference.read()
    if _hash(image) != sha256:
        raise ValueError(f"{reference.image}: the reference has changed since the data set was asked for")
    cleaned = clean(image, reference.image)
    cleaned /= cleaned.mean(dtype=np.float64)
    return SpeckleField(sharpen(cleaned, oversampling), math.nan, periodic=False)


def clean(image: np.ndarray, name: str) -> np.ndarray:
    """Replace dead and hot pixels by the mean of their sound neighbours.

    A pixel is defect if it is 0, or if it lies beyond all but one of its eight neighbours by more than twice
    the range of the six in their middle, and by more than six standard deviations of what pixels usually
    differ from their neighbours by. Speckle that a detector has blurred does not do that (but for one pixel
    in some ten thousands where it is sharpest).

    Parameters
    ----------
    image : (H, W) array
        Counts, >= 0.
    name : str
        Of the image, for messages.

    Returns
    -------
    (H, W) float32

    Raises
    ------
    ValueError
        If more than 2 % of the pixels are defect.
    """
    cleaned = image.astype(np.float32)
    low, middle, high = (
        ndimage.rank_filter(cleaned, rank, footprint=_NEIGHBOURS, mode="mirror") for rank in (1, 4, -2)
    )
    noise = _MAD_TO_SIGMA * np.median(np.abs(cleaned - middle))
    reach = np.maximum(_STRAY_RANGE * (high - low), _STRAY_NOISE * noise)
    defect = (cleaned <= 0) | (cleaned > high + reach) | (cleaned < low - reach)
    if defect.mean() > _MOST_DEFECTS:
        raise ValueError(
            f"{name}: must be a speckle image with at most {100 * _MOST_DEFECTS:g} % dead or hot pixels, "
            f"got {100 * defect.mean():.1f} %"
        )
    while defect.any():
        sound = ndimage.uniform_filter((~defect).astype(np.float32), 3, mode="mirror")
        total = ndimage.uniform_filter(np.where(defect, np.float32(0), cleaned), 3, mode="mirror")
        filled = defect & (sound > 0.05)  # a ninth for each sound neighbour
        cleaned[filled] = total[filled] / sound[filled]
        defect &= ~filled
    return cleaned


def sharpen(image: np.ndarray, oversampling: int) -> np.ndarray:
    """The field on the ray grid that gives an image back when it is deposited at rest and binned.

    Parameters
    ----------
    image : (H, W) float32
        Relative intensity on detector pixels.
    oversampling : int
        Rays per pixel and axis.

    Returns
    -------
    (H * oversampling, W * oversampling) float32
        Holds no frequency that the pixels do not hold, and is continued beyond the edges by its mirror image,
        so that nothing rings there. Where that falls below 0, beside strong and sharp peaks, it is 0.

    Notes
    -----
    The cosine transform interpolates a mirrored image exactly; each frequency is divided by what the
    spline of the deposit and the mean over a pixel leave of it: 0.59 at the highest along an axis.
    """
    spectrum = dctn(image.astype(np.float32), norm="ortho")
    for axis, size in enumerate(image.shape):
        response = _response(np.arange(size) / (2 * size), oversampling)
        spectrum /= np.expand_dims(response, 1 - axis).astype(np.float32)
    rays = (image.shape[0] * oversampling, image.shape[1] * oversampling)
    field: np.ndarray = idctn(spectrum, s=rays, norm="ortho", overwrite_x=True)
    field *= np.float32(oversampling)  # of an orthogonal transform, for two axes
    return np.maximum(field, 0, out=field)


def _response(cycles_per_pixel: np.ndarray, oversampling: int) -> np.ndarray:
    """What the spline at rest and the mean over a pixel's rays leave of a wave along one axis."""
    turn = 2 * np.pi * cycles_per_pixel / oversampling
    rays = np.arange(oversampling) - 0.5 * (oversampling - 1)
    mean = np.cos(turn[:, None] * rays).mean(axis=1)
    spline = SPLINE_AT_REST[1] + 2 * SPLINE_AT_REST[0] * np.cos(turn)
    return mean * spline
