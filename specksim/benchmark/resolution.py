"""How fine a method sees: its response to a sine of growing period, and to an edge of the displacement."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear, minimize_scalar
from scipy.special import ndtr

from specksim.setups import Setup

RECOVERED = 0.9
"""Share of the amplitude at which the resolution is told: a bias of 10 %."""

_KNOTS_A_PERIOD = 2.5
_BIN_PX = 0.25  # of the way along which the displacement varies
_PIXEL_VARIANCE = 1 / 12  # of the pixel's square, along any direction
_TEN_TO_NINETY = 2 * 1.2815515655446004  # of the normal distribution, standard deviations


@dataclass(frozen=True)
class StarResponse:
    """Response to the `star` geometry.

    Attributes
    ----------
    period_px : (K,) array
        Periods, detector pixels, ascending.
    response : (K,) array
        Recovered share of the amplitude; never falls with the period, linear in log(period) between.
    period_90_px : float
        Shortest period from which 90 % are recovered; inf if never. If even the shortest period is recovered
        it is that one, and the truth is below.
    """

    period_px: np.ndarray
    response: np.ndarray
    period_90_px: float


def star_response(
    dx: np.ndarray,
    dy: np.ndarray,
    truth_dx: np.ndarray,
    truth_dy: np.ndarray,
    scene: Mapping[str, Any],
    setup: Setup,
    *,
    border_px: int = 8,
) -> StarResponse:
    """Response of a method to a sine of constant amplitude whose period grows across the frame.

    Parameters
    ----------
    dx, dy : (H, W) array
        Retrieved displacement along columns and rows, detector pixels.
    truth_dx, truth_dy : (H, W) array
        The label.
    scene : mapping
        Of the geometry `star`.
    setup : Setup
    border_px : int
        Pixels at the frame's border that do not count, for methods that are blind there.

    Returns
    -------
    StarResponse

    Raises
    ------
    ValueError
        If shapes differ, the scene is no `star`, a displacement is not finite, the label does not move, or
        the border leaves fewer than two periods.

    Notes
    -----
    The retrieved displacement along the way s on which the period P grows is fitted by least squares as
    R(P(s)) · label + constant, R piecewise linear in log P and never falling. The period at which 90 % of the
    amplitude are left is the spatial resolution, its product with the noise (`noise_level`, behind a wedge)
    the metrological efficiency indicator [1]_ [2]_. A Gaussian window of standard deviation σ has
    R = exp(−2π²σ²/P²) and the period 2πσ/√(−2 ln 0.9) = 13.69 σ; a square one of side w has
    sin(πw/P)/(πw/P) and 3.99 w.

    References
    ----------
    .. [1] Reu et al., Experimental Mechanics 62, 639 (2022), doi:10.1007/s11340-021-00806-6.
    .. [2] Grédiac, Blaysat and Sur, Experimental Mechanics 57, 871 (2017), doi:10.1007/s11340-017-0279-x.
    """
    _expect(scene, "star")
    profile = _profile(scene, (dx, dy), (truth_dx, truth_dy), border_px)
    period, growth = _local_period_px(scene, setup, profile.way_px)
    low, high = period.min(), period.max()
    periods = math.log(high / low) / growth
    if periods < 2:
        raise ValueError(f"the star must show at least 2 periods inside of the border, got {periods:.1f}")
    knots = np.linspace(math.log(low), math.log(high), math.ceil(_KNOTS_A_PERIOD * periods) + 1)
    step = knots[1] - knots[0]
    position = (np.log(period) - knots[0]) / step
    response = _rising_response(profile, position, len(knots))
    return StarResponse(np.exp(knots), response, _crossing(knots, response))


def _rising_response(profile: "_Profile", position: np.ndarray, knots: int) -> np.ndarray:
    """Response at knots 0, 1, … of `position`, never falling."""
    ramps = [np.ones_like(position), *(np.clip(position - k, 0.0, 1.0) for k in range(knots - 1))]
    design = np.stack([np.ones_like(position), *(profile.truth * ramp for ramp in ramps)], axis=1)
    weight = np.sqrt(profile.count)
    lowest = np.where(np.arange(design.shape[1]) < 2, -np.inf, 0.0)  # the constant and the first are free
    fit = lsq_linear(weight[:, None] * design, weight * profile.measured, (lowest, np.inf), method="bvls").x
    response: np.ndarray = np.cumsum(fit[1:])
    return response


def _local_period_px(scene: Mapping[str, Any], setup: Setup, way_px: np.ndarray) -> tuple[np.ndarray, float]:
    """Period of the star at places along its way, and its growth per length; detector pixels."""
    first, last = np.asarray(scene["period_um"]) / _pixel_um(setup)
    start, length = scene["start_um"] / _pixel_um(setup), scene["length_um"] / _pixel_um(setup)
    growth = (last - first) / length
    return np.maximum(first + growth * (way_px - start), 1e-3 * first), float(growth)


def _crossing(knots: np.ndarray, response: np.ndarray) -> float:
    """The first period with `RECOVERED`, between knots of log(period)."""
    above = np.flatnonzero(response >= RECOVERED)
    if len(above) == 0:
        return math.inf
    k = int(above[0])
    if k == 0:
        return float(np.exp(knots[0]))
    part = (RECOVERED - response[k - 1]) / (response[k] - response[k - 1])
    return float(np.exp(knots[k - 1] + part * (knots[k] - knots[k - 1])))


def noise_level(*components: np.ndarray) -> float:
    """Standard deviation of a displacement that is the same everywhere, about its mean.

    Parameters
    ----------
    *components : array
        dx, dy, or one of them, px, of a pair without motion (two exposures, not one image twice) or behind a
        wedge.

    Returns
    -------
    float
        Root of the mean variance of the components, px.

    Raises
    ------
    ValueError
        If there is no component or one is not finite.
    """
    if not components:
        raise ValueError("components must be one or more arrays, got none")
    for values in components:
        _finite("components", np.asarray(values))
    return math.sqrt(float(np.mean([np.var(values, dtype=np.float64) for values in components])))


def edge_width_px(
    dx: np.ndarray,
    dy: np.ndarray,
    truth_dx: np.ndarray,
    truth_dy: np.ndarray,
    scene: Mapping[str, Any],
    setup: Setup,
    *,
    border_px: int = 8,
) -> float:
    """10–90 % width of a method's response to an edge of the displacement.

    Parameters
    ----------
    dx, dy : (H, W) array
        Retrieved displacement along columns and rows, detector pixels.
    truth_dx, truth_dy : (H, W) array
        The label.
    scene : mapping
        Of the geometry `steps`.
    setup : Setup
    border_px : int
        Pixels at the frame's border that do not count.

    Returns
    -------
    float
        Distance over which the response goes from 10 to 90 % of its own height, px; below 0.4 for the label.
        NaN where nothing is recovered: the response has no height, the wrong sign, or no end in the frame.

    Raises
    ------
    ValueError
        If shapes differ, the scene is no `steps`, a displacement is not finite or the label does not move.

    Notes
    -----
    At each knot of the staircase the slope of the thickness jumps, and with it the displacement. The
    retrieved displacement is fitted by least squares, all knots at once and overlapping as they may, as
    h · Σ (jump) · Φ((s − knot)/σ) + constant, with Φ the integral of a Gaussian and free h and σ: for a
    Gaussian window of standard deviation σ this is exact, and the width is 2 · 1.2816 σ = 2.563 σ. The mean
    over a pixel, which is in the label too, is taken off. For a window of another shape it is the width of
    the Gaussian that comes closest: about 0.8 w for a square one of side w.
    """
    _expect(scene, "steps")
    profile = _profile(scene, (dx, dy), (truth_dx, truth_dy), border_px)
    knots = np.asarray(scene["knots_um"]) / _pixel_um(setup)
    slopes = np.diff(scene["thickness_um"]) / np.diff(scene["knots_um"])
    jumps = np.diff(np.concatenate([[0.0], slopes, [0.0]]))
    weight = np.sqrt(profile.count)

    def fit(sigma: float, values: np.ndarray = profile.measured) -> tuple[float, float]:
        """Sum of squares and height of the response of a width."""
        edges = _edges(profile.way_px, knots, jumps, sigma)
        design = weight[:, None] * np.stack([np.ones_like(edges), edges], axis=1)
        found = np.linalg.lstsq(design, weight * values)[0]
        return float(np.sum(np.square(weight * values - design @ found))), float(found[1])

    # on a grid first: the sum of squares has more than one valley where edges are close
    tried = np.concatenate([[0.0], np.geomspace(0.05, np.ptp(profile.way_px), 60)])
    best = int(np.argmin([fit(sigma)[0] for sigma in tried]))
    if best == len(tried) - 1:
        return math.nan
    around = tried[max(best - 1, 0)], tried[best + 1]
    sigma = float(minimize_scalar(lambda sigma: fit(sigma)[0], bounds=around, method="bounded").x)
    recovered = fit(sigma)[1] * fit(0.0, profile.truth)[1] > 0
    return _TEN_TO_NINETY * sigma if recovered else math.nan


def _edges(way: np.ndarray, knots: np.ndarray, jumps: np.ndarray, sigma: float) -> np.ndarray:
    """Σ jump · Φ((s − knot)/σ), means over pixels."""
    spread = math.sqrt(sigma**2 + _PIXEL_VARIANCE)
    return ndtr((way[:, None] - knots) / spread) @ jumps


def _pixel_um(setup: Setup) -> float:
    return 1e6 * setup.object_pixel_m


def _expect(scene: Mapping[str, Any], geometry: str) -> None:
    if scene.get("geometry") != geometry:
        raise ValueError(f"scene must be of geometry {geometry!r}, got {scene.get('geometry')!r}")


def _finite(name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {np.sum(~np.isfinite(values))} other values")


def _inner(values: np.ndarray, border_px: int) -> np.ndarray:
    return values[border_px : len(values) - border_px, border_px : values.shape[1] - border_px].ravel()


@dataclass(frozen=True)
class _Profile:
    """Displacement along the direction in which a scene varies, over the way from the frame's centre.

    Means over lines across, (B,): place, px, retrieved displacement, label and number of pixels.
    """

    way_px: np.ndarray
    measured: np.ndarray
    truth: np.ndarray
    count: np.ndarray


def _profile(
    scene: Mapping[str, Any],
    retrieved: tuple[np.ndarray, np.ndarray],
    label: tuple[np.ndarray, np.ndarray],
    border_px: int,
) -> _Profile:
    shapes = {np.shape(values) for values in (*retrieved, *label)}
    shape = next(iter(shapes))
    if len(shapes) > 1 or len(shape) != 2:
        raise ValueError(f"dx, dy and the label must be 2-D and of one shape, got {sorted(shapes)}")
    if not 0 <= 2 * border_px < min(shape):
        raise ValueError(f"border_px must be >= 0 and leave pixels, got {border_px}")
    angle = scene["angle_rad"]

    def along(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _inner(
            math.cos(angle) * np.asarray(x, np.float64) + math.sin(angle) * np.asarray(y), border_px
        )

    measured, truth = along(*retrieved), along(*label)
    _finite("dx, dy", measured)
    _finite("the label", truth)
    if not np.any(truth):
        raise ValueError("the label must move, got 0 everywhere")
    y, x = (np.arange(size) - 0.5 * (size - 1) for size in shape)
    way = _inner(math.cos(angle) * x + math.sin(angle) * y[:, None], border_px)
    lines, bin_of, count = np.unique(np.round(way / _BIN_PX), return_inverse=True, return_counts=True)
    means = [np.bincount(bin_of, values, len(lines)) / count for values in (way, measured, truth)]
    return _Profile(means[0], means[1], means[2], count)
