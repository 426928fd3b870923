"""The detector: blur, pixels, photon noise, read-out."""

import math

import numpy as np

from specksim.compiled import kernel
from specksim.optics.rays import SPLINE_AT_REST, SPLINE_VARIANCE
from specksim.setups import Setup

_HEADROOM, _FINE_HEADROOM, _FINE_PIXEL_M = 32, 256, 3e-6
"""Brightest count that must fit, over the mean of the reference: foci of the speckle reach about 10 on usual
pixels; on fine ones nothing blurs a caustic."""
_MANY = 10.0  # mean from which on transformed rejection is used
_TINY = 1e-300


def count_dtype(setup: Setup) -> type[np.generic]:
    """Type of the stored images: uint16 or uint32 counts, float32 (relative) without noise."""
    camera = setup.detector
    if math.isinf(camera.photons_per_pixel):
        return np.float32
    headroom = _FINE_HEADROOM if setup.object_pixel_m < _FINE_PIXEL_M else _HEADROOM
    unlimited = camera.gain * (headroom * camera.photons_per_pixel + camera.dark_counts) + camera.offset
    brightest = saturation_level(setup) or unlimited
    return np.uint16 if brightest <= np.iinfo(np.uint16).max else np.uint32


def saturation_level(setup: Setup) -> int | None:
    """Largest grey value that the detector can give; None where nothing limits it."""
    camera = setup.detector
    limits = [2**camera.bit_depth - 1] if camera.bit_depth else []
    if math.isfinite(camera.full_well_counts):
        limits.append(round(camera.gain * camera.full_well_counts + camera.offset))
    return min(limits, default=None)


def photon_counts(image: np.ndarray, setup: Setup) -> np.ndarray:
    """Grey values back to photons, (H, W) float64: offset, gain and mean dark count taken off.

    Images without noise, relative to the mean of the reference, are left as they are.
    """
    camera = setup.detector
    return (np.asarray(image, np.float64) - camera.offset) / camera.gain - camera.dark_counts


def positive_photons(image: np.ndarray, setup: Setup) -> np.ndarray:
    """Grey values as the photons that trackers take: those of a plain detector as they are, others > 0.

    What noise takes below 0 is dark, not dead.
    """
    if setup.detector.plain:
        return image
    return np.maximum(photon_counts(image, setup), 1e-3).astype(np.float32)


def gaussian_taps(sigma: float) -> np.ndarray:
    """Blur of variance sigma² and sum 1: samples of a Gaussian out to 4 sigma, or three taps where it is
    too narrow to be sampled."""
    variance = sigma**2
    if variance <= 0.5:
        return np.array([0.5 * variance, 1.0 - variance, 0.5 * variance])
    reach = max(1, math.ceil(4 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return taps / taps.sum()


def blur_taps(sigma_px: float, oversampling: int, deposited: bool) -> np.ndarray:
    """Blur of a detector on the ray grid.

    Parameters
    ----------
    sigma_px : float
        Sigma of all blur ahead of the pixels, detector pixels.
    oversampling : int
        Rays per detector pixel.
    deposited : bool
        True for an image made by `deposit`, whose spline is part of the blur already; False for one on
        rays at rest, which is given the spline here, so that both are blurred alike.
    """
    variance = (sigma_px * oversampling) ** 2 - SPLINE_VARIANCE
    taps = gaussian_taps(math.sqrt(max(variance, 0.0)))
    return taps if deposited else np.convolve(taps, SPLINE_AT_REST)


def expected_image(
    rays: np.ndarray, taps: np.ndarray, oversampling: int, shape: tuple[int, int]
) -> np.ndarray:
    """Blur an image on the ray grid and bin it to detector pixels, in one pass along each axis.

    Parameters
    ----------
    rays : (H', W') float32
        Intensity on the ray grid, the frame in its middle.
    taps : (n,) array
        Symmetric blur along each axis (n odd), see `blur_taps`.
    oversampling : int
        Rays per detector pixel.
    shape : (int, int)
        Rows and columns of the detector.

    Returns
    -------
    (H, W) float32
        Mean intensity over each pixel.

    Raises
    ------
    ValueError
        If the margin around the frame is narrower than the blur.
    """
    # the blur followed by a pixel's mean, as one row of weights for each pixel
    weights = np.convolve(taps, np.full(oversampling, 1.0 / oversampling)).astype(np.float32)
    half_done = np.empty((shape[0], rays.shape[1]), np.float32)
    image = np.empty(shape, np.float32)
    reach = len(taps) // 2
    first = [
        (size - frame * oversampling) // 2 - reach for size, frame in zip(rays.shape, shape, strict=True)
    ]
    if min(first) < 0:
        raise ValueError(f"the margin around the frame is narrower than the blur by {-min(first)} rays")
    # rows first: the larger pass then runs along contiguous memory
    _weighted_rows(rays, weights, first[0], oversampling, half_done)
    _weighted_columns(half_done, weights, first[1], oversampling, image)
    return image


@kernel
def _weighted_columns(image, weights, first, stride, out):
    rows, columns = out.shape
    length = (weights.shape[0] - 1) // stride + columns
    comb = np.empty((stride, length), np.float32)  # every stride-th value, so that neighbours are neighbours
    for i in range(rows):
        for a in range(stride):
            part, tooth = image[i, first + a :: stride], comb[a]
            for j in range(min(length, part.shape[0])):
                tooth[j] = part[j]
        row = out[i]
        for j in range(columns):
            row[j] = 0.0
        for k in range(weights.shape[0]):
            weight, part = weights[k], comb[k % stride, k // stride :]
            for j in range(columns):
                row[j] += weight * part[j]


@kernel
def _weighted_rows(image, weights, first, stride, out):
    """Four rows at a time, which saves most of the writing."""
    n, columns = weights.shape[0], out.shape[1]
    for i in range(out.shape[0]):
        row = out[i]
        for j in range(columns):
            row[j] = 0.0
        for k in range(0, n - n % 4, 4):
            source = first + i * stride + k
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            r0, r1, r2, r3 = image[source], image[source + 1], image[source + 2], image[source + 3]
            for j in range(columns):
                row[j] += (w0 * r0[j] + w1 * r1[j]) + (w2 * r2[j] + w3 * r3[j])
        for k in range(n - n % 4, n):
            weight, source_row = weights[k], image[first + i * stride + k]
            for j in range(columns):
                row[j] += weight * source_row[j]


def noise_variance(photons: float, setup: Setup) -> float:
    """Variance of a pixel that counts `photons` on average, photons²: 0 for images without noise."""
    camera = setup.detector
    if math.isinf(camera.photons_per_pixel):
        return 0.0
    rounding = 0.0 if camera.plain else 1 / (12 * camera.gain**2)
    return photons + camera.dark_counts + camera.read_noise_counts**2 + rounding


def expose(expected: np.ndarray, setup: Setup, rng: np.random.Generator) -> np.ndarray:
    """Record an expected image: grey values, or the image itself where there is no noise.

    Parameters
    ----------
    expected : array
        Intensity relative to the mean of the reference.
    setup : Setup
        Its `detector.photons_per_pixel` is the mean count of photons in the reference.
    rng : numpy.random.Generator

    Returns
    -------
    array of the type `count_dtype(setup)`

    Raises
    ------
    ValueError
        If a grey value does not fit into that type.

    Notes
    -----
    The linear camera of the standard EMVA 1288 (release 4.0 linear) with a detected photon as the unit of
    charge: counts are Poisson, of photons and dark current together, with Gaussian read noise on them; they
    are cut at the full well, times the gain, plus the offset, rounded, and cut at what the bits hold.
    """
    dtype = count_dtype(setup)
    if dtype is np.float32:
        return expected.astype(np.float32)
    camera = setup.detector
    counts = poisson_counts(camera.photons_per_pixel * expected.astype(np.float64) + camera.dark_counts, rng)
    if not camera.plain:
        counts = _read_out(counts, setup, rng)
    largest = np.iinfo(dtype).max  # type: ignore[type-var]
    if counts.max(initial=0) > largest:
        raise ValueError(
            f"a count of {counts.max()} does not fit into {np.dtype(dtype).name}: "
            "lower detector.photons_per_pixel"
        )
    return counts.astype(dtype)


def poisson_counts(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts of a Poisson law for each mean, int64; ValueError if one is not finite or below 0.

    Notes
    -----
    Transformed rejection (PTRS; Hörmann, Insurance: Mathematics and Economics 12, 39, 1993,
    doi:10.1016/0167-6687(93)90997-4) where the mean is 10 or more, below that the product of uniform
    numbers. Both are exact. All pixels are proposed a count at once, which most of them accept without
    looking at the law.
    """
    means, counts = np.ravel(mean), np.empty(mean.shape, np.int64)
    if not (means.min(initial=0.0) >= 0 and means.max(initial=0.0) < np.inf):
        raise ValueError("the expected image must be finite and >= 0")
    u, v = rng.random((2, means.size))
    u -= 0.5
    settled = np.empty(means.size, np.bool_)
    _propose(means, u, v, counts.reshape(-1), settled)
    _settle(means, u, v, counts.reshape(-1), settled, rng)
    return counts


@kernel
def _propose(means, u, v, counts, settled):
    """Count for each pixel, and whether it is within the region where all counts are accepted."""
    for i in range(means.shape[0]):
        a, b, edge = _hat(means[i], u[i])
        counts[i] = np.int64(np.floor((2.0 * a / edge + b) * u[i] + means[i] + 0.43))
        settled[i] = (means[i] >= _MANY) & (edge >= 0.07) & (v[i] <= 0.9277 - 3.6224 / max(b - 2.0, 1.0))


@kernel
def _settle(means, u, v, counts, settled, rng):
    """Look at the law of the proposals left, and draw anew until one is accepted."""
    for i in range(means.shape[0]):
        if settled[i]:
            continue
        if means[i] < _MANY:
            counts[i] = _count_few(means[i], rng)
            continue
        count, x, y = counts[i], u[i], v[i]
        while not _accepts(means[i], count, x, y):
            x, y = rng.random() - 0.5, rng.random()
            a, b, edge = _hat(means[i], x)
            count = np.int64(np.floor((2.0 * a / edge + b) * x + means[i] + 0.43))
        counts[i] = count


@kernel
def _hat(mean, u):
    """Hörmann's a and b, and how far u is from the edge of the unit square."""
    b = 0.931 + 2.53 * np.sqrt(mean)
    return -0.059 + 0.02483 * b, b, max(0.5 - abs(u), _TINY)


@kernel
def _accepts(mean, count, u, v):
    a, b, edge = _hat(mean, u)
    if count < 0 or (edge < 0.013 and v > edge):
        return False
    share = v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (edge * edge) + b)
    return share <= _probability(float(count), mean)


@kernel
def _probability(count, mean):
    """Probability of a count, of a mean of 10 or more."""
    if count < _MANY:
        return np.exp(count * np.log(mean) - mean - math.lgamma(count + 1.0))
    # Stirling's series, exact to 1e-12 for counts of 10 and more
    r = 1.0 / (count * count)
    rest = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / count
    return np.exp(count * np.log(mean / count) + (count - mean) - rest) / np.sqrt(2.0 * math.pi * count)


@kernel
def _count_few(mean, rng):
    if mean == 0.0:
        return 0
    least, product, count = np.exp(-mean), rng.random(), 0
    while product > least:
        product *= rng.random()
        count += 1
    return count


def _read_out(counts: np.ndarray, setup: Setup, rng: np.random.Generator) -> np.ndarray:
    """Grey values of some counts, int64."""
    camera = setup.detector
    charge = counts + camera.read_noise_counts * rng.standard_normal(counts.shape)
    grey = np.rint(camera.gain * np.minimum(charge, camera.full_well_counts) + camera.offset)
    return np.clip(grey, 0, saturation_level(setup)).astype(np.int64)


def record(
    setup: Setup, light: np.ndarray, rng: np.random.Generator, *, deposited: bool = False
) -> np.ndarray:
    """Image of the light on the ray grid: blurred, binned to pixels, recorded.

    Parameters
    ----------
    setup : Setup
    light : (H', W') float32
        Intensity relative to the mean of the reference, the frame in its middle.
    rng : numpy.random.Generator
        Of the noise.
    deposited : bool
        See `blur_taps`.

    Returns
    -------
    (H, W) array
        See `expose`.
    """
    oversampling, shape = setup.numerics.oversampling, setup.detector.shape
    taps = blur_taps(setup.blur_px, oversampling, deposited)
    return expose(expected_image(light, taps, oversampling, shape), setup, rng)


def bin_mean(cells: np.ndarray, oversampling: int, shape: tuple[int, int]) -> np.ndarray:
    """Mean of a map on the ray grid over each detector pixel of the frame in its middle, (H, W) float32."""
    return expected_image(cells, np.ones(1), oversampling, shape)
