"""The phase whose gradient a displacement is.

Labels and retrieved displacements are means over pixels, and so is the phase that is asked for. Averaging
over a pixel commutes with the gradient: the mean displacement is the derivative of the mean phase, taken as
functions of the pixel's place. All methods below solve for that phase in the least-squares sense, in pixels
squared (displacement summed over pixels), which `integrate_phase` turns into radians.
"""

from collections.abc import Callable

import numpy as np
from scipy import fft

from specksim.setups import Setup

METHODS = ("dct", "fourier", "least-squares")
_TOLERANCE = 1e-9  # of the residual, relative to the data; lower weights leave smaller residuals
_LEAST_TRUST = 1e-6  # of a pixel of weight 0: enough where nothing else links two parts of the frame
_MOST_STEPS = 500


def integrate_phase(
    dx: np.ndarray,
    dy: np.ndarray,
    setup: Setup,
    *,
    method: str | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Phase shift of the object from the displacement of the speckle.

    Parameters
    ----------
    dx, dy : (H, W) array
        Displacement along columns and rows, detector pixels, from reference to sample; pixel means.
    setup : Setup
        Gives energy, distances and pixel: Δφ per pixel = k p² d / (M z2).
    method : {"dct", "fourier", "least-squares"}, optional
        How the two components are joined. Default: "least-squares" with `weights`, else "dct".
    weights : (H, W) array, optional
        Trust in each pixel, >= 0, for "least-squares"; `valid` or `quality` will do. A pixel of weight 0
        counts only where nothing else links two parts of the frame, and not at all if it holds NaN.

    Returns
    -------
    (H, W) float64
        Phase, rad, negative in matter. The displacement does not fix its constant: the mean over the frame's
        outermost pixels is 0.

    Raises
    ------
    ValueError
        If shapes differ or are not 2-D with two pixels along each axis, if a displacement is not finite where
        its weight is not 0, if weights are negative or all 0, given for another method, or if the method is
        unknown.

    Notes
    -----
    "fourier" divides by the spectral derivative after an antisymmetric mirror extension [1]_ [2]_; it rings
    where the displacement across the frame's border is not 0. "dct" takes the difference of the phase between
    neighbouring pixels, by integrating the cubic through four displacements (exact up to a quartic phase),
    and solves the Neumann problem in one cosine transform; it makes no assumption beyond the frame.
    "least-squares" weights the same equations and solves them by conjugate gradients, with "dct" as the
    preconditioner [3]_. Parts of the frame that NaN cuts off from each other have no common constant.

    References
    ----------
    .. [1] Frankot and Chellappa, IEEE Trans. PAMI 10, 439 (1988). doi:10.1109/34.3909
    .. [2] Bon, Monneret and Wattellier, Appl. Opt. 51, 5698 (2012). doi:10.1364/AO.51.005698
    .. [3] Ghiglia and Romero, J. Opt. Soc. Am. A 11, 107 (1994). doi:10.1364/JOSAA.11.000107
    """
    if method is None:
        method = "dct" if weights is None else "least-squares"
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if weights is not None and method != "least-squares":
        raise ValueError(f"weights need method 'least-squares', got {method!r}")
    dx, dy, trust = _checked(dx, dy, weights)
    if method == "fourier":
        potential = _solve_fourier(dx, dy)
    elif method == "dct":
        potential = _solve_neumann(_divergence(_steps(dx, 1), _steps(dy, 0)))
    else:
        potential = _solve_weighted(dx, dy, trust)
    potential -= _border_mean(potential)
    return radians_per_pixel(setup) * potential


def radians_per_pixel(setup: Setup) -> float:
    """Difference of phase between neighbouring pixels for a displacement of one pixel, k p² / (M z2), rad."""
    return setup.wavenumber_per_m * setup.object_pixel_m**2 / setup.effective_distance_m


def _checked(
    dx: np.ndarray, dy: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dy = np.asarray(dx, np.float64), np.asarray(dy, np.float64)
    if dx.ndim != 2 or dx.shape != dy.shape or min(dx.shape) < 2:
        raise ValueError(f"dx and dy must be of one shape (H, W), both >= 2, got {dx.shape} and {dy.shape}")
    trust = np.ones(dx.shape) if weights is None else np.asarray(weights, np.float64)
    if trust.shape != dx.shape:
        raise ValueError(f"weights must have the shape {dx.shape} of dx, got {trust.shape}")
    if not (np.isfinite(trust).all() and trust.min() >= 0 and trust.max() > 0):
        raise ValueError("weights must be finite, >= 0 and not all 0")
    for name, values in (("dx", dx), ("dy", dy)):
        wrong = ~np.isfinite(values) & (trust > 0)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(f"{name} must be finite where its weight is not 0, got {values[row, column]} "
                             f"at row {row}, column {column}")  # fmt: skip
    there = np.isfinite(dx) & np.isfinite(dy)
    trust = np.where(there, np.maximum(trust / trust.max(), _LEAST_TRUST), 0.0)
    return np.where(there, dx, 0.0), np.where(there, dy, 0.0), trust


def _border_mean(values: np.ndarray) -> float:
    edges = (values[0], values[-1], values[1:-1, 0], values[1:-1, -1])
    return float(np.concatenate(edges).mean())


def _solve_fourier(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Frankot–Chellappa on the frame mirrored to four times its size, by real transforms of the frame alone.

    Mirrored, the potential is even along both axes; dx is odd along x and even along y, dy the other way
    round. Their Fourier series are a cosine and two mixed series, which scipy's type-II transforms give.
    """
    height, width = dx.shape
    ky = np.pi * np.arange(height)[:, None] / height
    kx = np.pi * np.arange(width)[None, :] / width
    sines_x = fft.dct(_sine_series(dx, 1), axis=0, type=2, norm="ortho")
    sines_y = fft.dct(_sine_series(dy, 0), axis=1, type=2, norm="ortho")
    squared = kx**2 + ky**2
    squared[0, 0] = 1.0
    spectrum = -(kx * sines_x + ky * sines_y) / squared
    spectrum[0, 0] = 0.0
    return fft.idctn(spectrum, type=2, norm="ortho")


def _sine_series(values: np.ndarray, axis: int) -> np.ndarray:
    """Sine coefficients of frequencies 0 to N − 1 along an axis; N, Nyquist's, has no cosine beside it."""
    series = np.roll(fft.dst(values, axis=axis, type=2, norm="ortho"), 1, axis=axis)
    np.moveaxis(series, axis, 0)[0] = 0.0
    return series


def _steps(values: np.ndarray, axis: int, trusted: np.ndarray | None = None) -> np.ndarray:
    """Integral of a displacement from each pixel's centre to the next one's along an axis, (N − 1) of N.

    Through four neighbours runs a cubic, whose integral is exact for a quartic potential; where fewer pixels
    are there or one of the four is not `trusted`, the mean of the two.
    """
    v = np.moveaxis(values, axis, 0)
    steps = 0.5 * (v[:-1] + v[1:])
    if len(v) >= 4:
        cubic = steps.copy()
        cubic[1:-1] = (13.0 * (v[1:-2] + v[2:-1]) - v[:-3] - v[3:]) / 24.0
        cubic[0] = (9.0 * v[0] + 19.0 * v[1] - 5.0 * v[2] + v[3]) / 24.0
        cubic[-1] = (9.0 * v[-1] + 19.0 * v[-2] - 5.0 * v[-3] + v[-4]) / 24.0
        if trusted is None:
            steps = cubic
        else:
            t = np.moveaxis(trusted, axis, 0)
            four = t[:-3] & t[1:-2] & t[2:-1] & t[3:]
            steps = np.where(np.concatenate([four[:1], four, four[-1:]]), cubic, steps)
    return np.moveaxis(steps, 0, axis)


def _divergence(steps_x: np.ndarray, steps_y: np.ndarray) -> np.ndarray:
    """Minus the transpose of the difference between neighbours: what flows out of each pixel."""
    flow = np.zeros((steps_x.shape[0], steps_y.shape[1]))
    flow[:, :-1] += steps_x
    flow[:, 1:] -= steps_x
    flow[:-1] += steps_y
    flow[1:] -= steps_y
    return flow


def _solve_neumann(source: np.ndarray) -> np.ndarray:
    """Potential of mean 0 with the five-point Laplacian `source` and no flow across the border."""
    height, width = source.shape
    eigenvalues = (
        2.0 * np.cos(np.pi * np.arange(height) / height)[:, None]
        + 2.0 * np.cos(np.pi * np.arange(width) / width)[None, :]
        - 4.0
    )
    eigenvalues[0, 0] = 1.0
    spectrum = fft.dctn(source, type=2, norm="ortho") / eigenvalues
    spectrum[0, 0] = 0.0
    return fft.idctn(spectrum, type=2, norm="ortho")


def _solve_weighted(dx: np.ndarray, dy: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Potential with the least weighted sum of squared errors of its steps.

    A step counts as the smaller weight of its two pixels, so that one bad pixel spoils no step.
    """
    good = trust > _LEAST_TRUST
    steps_x, steps_y = _steps(dx, 1, good), _steps(dy, 0, good)
    weight_x = np.minimum(trust[:, :-1], trust[:, 1:])
    weight_y = np.minimum(trust[:-1], trust[1:])

    def laplacian(potential: np.ndarray) -> np.ndarray:
        return _divergence(weight_x * np.diff(potential, axis=1), weight_y * np.diff(potential, axis=0))

    source = _divergence(weight_x * steps_x, weight_y * steps_y)
    return conjugate_gradients(laplacian, source, _solve_neumann, _TOLERANCE)


def conjugate_gradients(
    operator: Callable[[np.ndarray], np.ndarray],
    source: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
    tolerance: float,
) -> np.ndarray:
    """Solve operator(x) = source, for a symmetric operator, none of whose eigenvalues is negative.

    Parameters
    ----------
    operator, precondition : callable
        Maps to maps; `precondition` solves a similar problem. Null spaces must be orthogonal to `source`.
    source : (H, W) float64
    tolerance : float
        Of the residual's norm, relative to that of `source`; at most 500 steps are taken.

    Returns
    -------
    (H, W) float64
    """
    solution = np.zeros_like(source)
    residual = source.copy()
    goal = tolerance**2 * _product(source, source)
    direction, old = np.zeros_like(source), 1.0
    for _ in range(_MOST_STEPS):
        if _product(residual, residual) <= goal:
            break
        conditioned = precondition(residual)
        new = _product(residual, conditioned)
        direction = conditioned + (new / old) * direction
        image = operator(direction)
        length = new / _product(direction, image)
        solution += length * direction
        residual -= length * image
        old = new
    return solution


def _product(first: np.ndarray, second: np.ndarray) -> float:
    """Sum of products; by BLAS it would wait for threads a thousand times longer on a busy machine."""
    return float((first * second).sum())
