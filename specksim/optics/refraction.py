"""What a thin object does to rays: displacement, phase, attenuation.

The object is known by its optical paths at the corners of the cells of the ray grid and taken as bilinear
in between. So the mean of the gradient over a cell, and over any block of cells, is exact: a difference
across the block divided by its width.
"""

from collections.abc import Sequence

import numpy as np

from specksim.compiled import kernel
from specksim.elementary import exponential


def displacement(
    refraction_path_m: np.ndarray, distance_m: float, pitch_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Displacement of the rays behind an object, d = −z ∇(δT) = (z/k) ∇φ, mean over each cell.

    Parameters
    ----------
    refraction_path_m : (H + 1, W + 1) array
        δT, summed over the materials, at the corners of the cells, m.
    distance_m : float
        Propagation distance on this grid, m (z2 / M in a cone beam).
    pitch_m : float
        Width of a cell, m.

    Returns
    -------
    dx, dy : (H, W) float32
        Along columns and rows, in cells, from reference to sample.

    Raises
    ------
    ValueError
        If the path is not 2-D with at least 2 × 2 corners, or distance or pitch is not > 0.

    Notes
    -----
    Geometrical optics of a thin object, without diffraction (Paganin, Coherent X-Ray Optics,
    doi:10.1093/acprof:oso/9780198567288.001.0001). It fails where ∇T diverges, as at the rim of a sphere.
    """
    path = _corners(refraction_path_m)
    for name, value in (("distance_m", distance_m), ("pitch_m", pitch_m)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be > 0 and finite, got {value} m")
    dx, dy = np.empty((2, path.shape[0] - 1, path.shape[1] - 1), np.float32)
    _displacement(path, -0.5 * distance_m / pitch_m**2, dx, dy)
    return dx, dy


@kernel
def _displacement(path, scale, dx, dy):
    scale = np.float32(scale)
    for i in range(dx.shape[0]):
        for j in range(dx.shape[1]):
            falling = path[i + 1, j + 1] - path[i, j]
            rising = path[i, j + 1] - path[i + 1, j]
            dx[i, j] = scale * (falling + rising)
            dy[i, j] = scale * (falling - rising)


def refract(
    thickness_m: Sequence[np.ndarray],
    constants: np.ndarray,
    distance_m: float,
    pitch_m: float,
    wavenumber_per_m: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`displacement` and `transmitted_intensity` of an object, in one pass for each material.

    Parameters
    ----------
    thickness_m : sequence of (H + 1, W + 1) arrays
        Of each material, at the corners of the cells, m.
    constants : (n, 2) array
        δ and β of each material.
    distance_m, pitch_m, wavenumber_per_m : float

    Returns
    -------
    dx, dy, transmission : (H, W) float32
    """
    shape = (thickness_m[0].shape[0] - 1, thickness_m[0].shape[1] - 1)
    dx, dy, transmission = (np.empty(shape, np.float32) for _ in range(3))
    for number, (thickness, (delta, beta)) in enumerate(zip(thickness_m, constants, strict=True), 1):
        bend, loss = -0.5 * distance_m * delta / pitch_m**2, -0.5 * wavenumber_per_m * beta
        first, last = number == 1, number == len(thickness_m)
        _refract(_corners(thickness), bend, loss, first, last, dx, dy, transmission)
    return dx, dy, transmission


@kernel
def _refract(thickness, bend, loss, first, last, dx, dy, through):
    """Displacement and attenuation by a material and those before; `through` is an exponent till the last."""
    bend, loss, none = np.float32(bend), np.float32(loss), np.float32(0.0)
    exponent = np.empty(dx.shape[1], np.float32)
    for i in range(dx.shape[0]):
        above, below, u, v, t = thickness[i], thickness[i + 1], dx[i], dy[i], through[i]
        for j in range(u.shape[0]):
            falling, rising = below[j + 1] - above[j], above[j + 1] - below[j]
            u[j] = bend * (falling + rising) + (none if first else u[j])
            v[j] = bend * (falling - rising) + (none if first else v[j])
        for j in range(u.shape[0]):
            total = (above[j] + above[j + 1]) + (below[j] + below[j + 1])
            exponent[j] = loss * total + (none if first else t[j])
        if last:
            exponential(exponent, t)
        else:
            for j in range(t.shape[0]):
                t[j] = exponent[j]


def phase_shift(refraction_path_m: np.ndarray, wavenumber_per_m: float) -> np.ndarray:
    """Phase φ = −kδT, mean over each cell, (H, W) float32, rad, from δT at the (H + 1, W + 1) corners, m."""
    phase = _cell_means(refraction_path_m)
    phase *= np.float32(-wavenumber_per_m)
    return phase


def transmitted_intensity(absorption_path_m: np.ndarray, wavenumber_per_m: float) -> np.ndarray:
    """Transmission exp(−2kβT) of each cell, (H, W) float32, from βT at the (H + 1, W + 1) corners, m."""
    exponent = _cell_means(absorption_path_m)
    exponent *= np.float32(-2.0 * wavenumber_per_m)
    return np.exp(exponent, out=exponent)


def _cell_means(path_m: np.ndarray) -> np.ndarray:
    path = _corners(path_m)
    means = np.empty((path.shape[0] - 1, path.shape[1] - 1), np.float32)
    _mean_of_corners(path, means)
    return means


@kernel
def _mean_of_corners(path, means):
    for i in range(means.shape[0]):
        for j in range(means.shape[1]):
            total = (path[i, j] + path[i, j + 1]) + (path[i + 1, j] + path[i + 1, j + 1])
            means[i, j] = np.float32(0.25) * total


def _corners(path_m: np.ndarray) -> np.ndarray:
    path = np.ascontiguousarray(path_m, dtype=np.float32)
    if path.ndim != 2 or min(path.shape) < 2:
        raise ValueError(f"a path must be 2-D with at least 2 × 2 corners, got shape {path.shape}")
    return path
