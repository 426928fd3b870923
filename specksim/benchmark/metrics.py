"""What is measured of a retrieved displacement, and how sure it is: sums that add up, percentiles, bootstrap.

A pair of images becomes one row of numbers, its tally: counts, sums and a histogram. Tallies add up, so that
a metric of many pairs, and of any resampling of them, is had without touching a pixel twice.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Attributes
    ----------
    unit : str
        Of the figure; empty for a plain number.
    meaning : str
        One line.
    best : float
        What a perfect method has.
    """

    unit: str
    meaning: str
    best: float = 0.0


METRICS: dict[str, Metric] = {
    "epe_mean": Metric("px", "endpoint error, the length of (dx, dy) − truth: mean"),
    "epe_median": Metric("px", "endpoint error: median"),
    "epe_p95": Metric("px", "endpoint error: 95 % of the pixels have less"),
    "epe_p99": Metric("px", "endpoint error: 99 % of the pixels have less"),
    "rmse_dx": Metric("px", "root-mean-square error of dx, along columns"),
    "rmse_dy": Metric("px", "root-mean-square error of dy, along rows"),
    "bias_dx": Metric("px", "mean error of dx, with its sign"),
    "bias_dy": Metric("px", "mean error of dy, with its sign"),
    "r2": Metric("", "1 − error² / displacement²: 0 as good as predicting no motion, 1 perfect", 1.0),
    "phase_rmse": Metric("rad", "root-mean-square error of the phase integrated from (dx, dy)"),
    "period_90_px": Metric("px", "shortest period of a sine of which 90 % of the amplitude are recovered"),
    "slope": Metric("", "recovered share of a displacement that is constant, behind a wedge", 1.0),
    "noise_px": Metric("px", "standard deviation of that displacement, over the slope"),
    "indicator": Metric("px²", "metrological efficiency: period at 90 % times noise"),
    "edge_width_px": Metric("px", "10–90 % width of the response to an edge of the displacement"),
    "diameter_error": Metric("%", "error of the diameter of a fitted sphere or fibre, without sign"),
    "delta_error": Metric("%", "error of the refractive index decrement δ from that fit, without sign"),
    "seconds": Metric("s", "time for one pair"),
    "peak_mb": Metric("MB", "most memory in use"),
}
"""Every metric of the benchmark, in the order of a report."""

DISPLACEMENT_CLASSES = ("|d| = 0", "|d| < 0.1 px", "0.1–1 px", "> 1 px")
"""As `displacement_classes` parts the pixels."""

LEAST_PAIRS_TO_DIFFER = 6
"""With fewer, one method wins every pair by chance in more than 5 % of cases (2/2⁵ = 6 %)."""

_LOWEST_PX, _HIGHEST_PX, _STEP = 1e-9, 1e4, math.log(1.005)
_BINS = math.ceil(math.log(_HIGHEST_PX / _LOWEST_PX) / _STEP)
_COUNT, _SUM_X, _SUM_Y, _SQUARE_X, _SQUARE_Y, _LENGTH, _MOTION, _HISTOGRAM = range(8)
TALLY_SIZE = _HISTOGRAM + _BINS + 2
"""Numbers in a tally: 7 sums, a bin below 10⁻⁹ px, bins 0.5 % wide, a bin from 10⁴ px on."""

_QUANTILES = {"epe_median": 0.5, "epe_p95": 0.95, "epe_p99": 0.99}
_CHUNK = 250


def displacement_classes(truth: np.ndarray) -> dict[str, np.ndarray]:
    """Which pixels are of which class of displacement.

    Parameters
    ----------
    truth : (..., 2) array
        (dx, dy), px.

    Returns
    -------
    dict of str to (...) bool
        By name of `DISPLACEMENT_CLASSES`: |d| exactly 0; above 0 and below 0.1; 0.1 to 1, both included;
        above 1 px. Each pixel is in one of them.
    """
    length = _lengths(np.asarray(truth))
    still, low, high = length == 0, length < 0.1, length > 1
    return dict(zip(DISPLACEMENT_CLASSES, (still, low & ~still, ~low & ~high, high), strict=True))


def tally(error: np.ndarray, truth: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Sums and a histogram of the errors of one pair, from which `evaluate` has its metrics.

    Parameters
    ----------
    error : (H, W, 2) array
        (dx, dy) − truth, px; any other shape that ends in 2 will do.
    truth : (H, W, 2) array
        (dx, dy), px.
    where : (H, W) bool array
        Which pixels count.

    Returns
    -------
    (TALLY_SIZE,) float64
        Tallies of pairs are added to pool their pixels.

    Raises
    ------
    ValueError
        If shapes do not fit, or an error or the truth is not finite where it counts.
    """
    error, truth, where = np.asarray(error), np.asarray(truth), np.asarray(where)
    if error.shape[-1:] != (2,) or truth.shape != error.shape or where.shape != error.shape[:-1]:
        raise ValueError(
            "error and truth must have one shape that ends in 2, and where the same without it, "
            f"got {error.shape}, {truth.shape} and {where.shape}"
        )
    if where.dtype != bool:
        raise ValueError(f"where must be of type bool, got {where.dtype}")
    error, truth = (values[where].astype(np.float64) for values in (error, truth))
    for name, values in (("error", error), ("truth", truth)):
        others = np.sum(~np.isfinite(values))
        if others:
            raise ValueError(f"{name} must be finite where it counts, got {others} others")
    length = _lengths(error)
    total = np.zeros(TALLY_SIZE)
    total[_COUNT] = len(length)
    total[[_SUM_X, _SUM_Y]] = error.sum(axis=0)
    total[[_SQUARE_X, _SQUARE_Y]] = np.square(error).sum(axis=0)
    total[_LENGTH] = length.sum()
    total[_MOTION] = np.square(truth).sum()
    place = np.floor(np.log(np.maximum(length, 1e-300) / _LOWEST_PX) / _STEP) + 1
    total[_HISTOGRAM:] = np.bincount(np.clip(place, 0, _BINS + 1).astype(int), minlength=_BINS + 2)
    return total


def evaluate(tally: np.ndarray) -> dict[str, float]:
    """Metrics of a tally, or of a sum of tallies.

    Parameters
    ----------
    tally : (TALLY_SIZE,) array
        See `tally`.

    Returns
    -------
    dict of str to float
        epe_mean, epe_median, epe_p95, epe_p99, rmse_dx, rmse_dy, bias_dx, bias_dy, r2; see `METRICS`. All are
        NaN without pixels, r2 also where nothing moves.

    Raises
    ------
    ValueError
        If the tally has another shape.

    Notes
    -----
    Percentiles agree within 0.5 % with those of `numpy.percentile` of the errors themselves, between 10⁻⁹ and
    10⁴ px; below they are 0, above infinite.
    """
    tally = np.asarray(tally, np.float64)
    if tally.shape != (TALLY_SIZE,):
        raise ValueError(f"tally must have shape ({TALLY_SIZE},), got {tally.shape}")
    return {name: float(values[0]) for name, values in _figures(tally[None], 0).items()}


def bootstrap(
    tallies: np.ndarray, rng: np.random.Generator, draws: int = 1000
) -> dict[str, tuple[float, float]]:
    """95 % intervals of the metrics of `evaluate`, by the percentile bootstrap over pairs.

    Parameters
    ----------
    tallies : (P, TALLY_SIZE) array
        One of each pair.
    rng : numpy.random.Generator
    draws : int
        Resamplings.

    Returns
    -------
    dict of str to (float, float)
        The 2.5 and 97.5 percentiles of each metric over the draws. (NaN, NaN) for fewer than two pairs, and
        where a draw has no value (no pixels, or no motion for r2).

    Raises
    ------
    ValueError
        If the tallies have another shape, or `draws` is < 1.

    Notes
    -----
    Each draw takes P of the P pairs, with replacement, and pools all their pixels; pixels of one pair depend
    on each other and are never drawn apart [1]_. With few pairs the intervals are too narrow: for normal
    errors the 95 % interval of a mean holds the truth in 83 % of cases with 5 pairs, 90 % with 10 and 93 %
    with 20.

    References
    ----------
    .. [1] Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13,
       doi:10.1201/9780429246593.
    """
    tallies = _checked(tallies, "tallies")
    pairs = len(tallies)
    if pairs < 2:
        return dict.fromkeys(_figures(np.zeros((1, TALLY_SIZE)), 0), (math.nan, math.nan))
    return {
        name: _interval(values) for name, values in _resampled(tallies, _drawn(pairs, rng, draws)).items()
    }


def differ(
    tallies_a: np.ndarray,
    tallies_b: np.ndarray,
    metric: str,
    rng: np.random.Generator,
    draws: int = 1000,
) -> bool:
    """Whether two methods differ in a metric, by the paired bootstrap.

    Parameters
    ----------
    tallies_a, tallies_b : (P, TALLY_SIZE) array
        Of the same pairs in the same order.
    metric : str
        One of those of `evaluate`.
    rng : numpy.random.Generator
    draws : int
        Resamplings.

    Returns
    -------
    bool
        True only when 0 is outside of the 95 % interval of the difference. Always False with fewer than
        `LEAST_PAIRS_TO_DIFFER` pairs, and where a draw has no value.

    Raises
    ------
    ValueError
        If the shapes differ or are none of tallies, the metric is none of `evaluate`, or `draws` is < 1.

    Notes
    -----
    Each draw takes the same pairs for both methods, so that what makes a pair hard for both cancels. Biases
    are compared by their absolute values: what counts is which is closer to 0.
    """
    tallies_a, tallies_b = _checked(tallies_a, "tallies_a"), _checked(tallies_b, "tallies_b")
    if len(tallies_a) != len(tallies_b):
        raise ValueError(
            f"tallies_a and tallies_b must be of the same pairs, got {len(tallies_a)} and {len(tallies_b)}"
        )
    names = tuple(_figures(np.zeros((1, TALLY_SIZE)), 0))
    if metric not in names:
        raise ValueError(f"metric must be one of {', '.join(names)}, got {metric!r}")
    times = _drawn(max(len(tallies_a), 1), rng, draws)
    if len(tallies_a) < LEAST_PAIRS_TO_DIFFER:
        return False
    first, second = (_resampled(tallies, times)[metric] for tallies in (tallies_a, tallies_b))
    if metric.startswith("bias"):
        first, second = np.abs(first), np.abs(second)
    if not (np.isfinite(first) & np.isfinite(second)).all():
        return False
    low, high = _interval(first - second)
    return low > 0 or high < 0


def estimate(
    samples: Sequence[np.ndarray],
    rng: np.random.Generator,
    statistic: Callable[..., Any] = np.mean,
    draws: int = 1000,
) -> tuple[float, float, float]:
    """A statistic of metrics that are one number a pair, and its 95 % interval.

    Parameters
    ----------
    samples : sequence of (P,) array, resampled each on its own
    rng : numpy.random.Generator
    statistic : callable
        Of the samples, over the axis that it is given. Default: the mean of one.
    draws : int
        Resamplings.

    Returns
    -------
    value, low, high : float
        By the percentile bootstrap, as in `bootstrap`. The interval is (NaN, NaN) where a sample has fewer
        than two values; all are NaN where one has none, or a NaN. An infinite value makes a mean infinite.

    Raises
    ------
    ValueError
        If a sample is not 1-D, or `draws` is < 1.
    """
    values = [np.asarray(sample, np.float64) for sample in samples]
    shapes = [sample.shape for sample in values]
    if draws < 1 or any(len(shape) != 1 for shape in shapes):
        raise ValueError(f"draws must be >= 1 and samples 1-D, got {draws} and shapes {shapes}")
    if any(sample.size == 0 or np.isnan(sample).any() for sample in values):
        return math.nan, math.nan, math.nan
    found = float(statistic(*values, axis=-1))
    if min(map(len, values)) < 2:
        return found, math.nan, math.nan
    drawn = (sample[rng.integers(len(sample), size=(draws, len(sample)))] for sample in values)
    return found, *_interval(statistic(*drawn, axis=-1))


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.hypot(vectors[..., 0], vectors[..., 1], dtype=np.float64)


def _checked(tallies: np.ndarray, name: str) -> np.ndarray:
    tallies = np.asarray(tallies, np.float64)
    if tallies.ndim != 2 or tallies.shape[1] != TALLY_SIZE:
        raise ValueError(f"{name} must have shape (pairs, {TALLY_SIZE}), got {tallies.shape}")
    return tallies


def _drawn(pairs: int, rng: np.random.Generator, draws: int) -> np.ndarray:
    """How often each pair is taken in each draw, (draws, pairs)."""
    if draws < 1:
        raise ValueError(f"draws must be >= 1, got {draws}")
    return rng.multinomial(pairs, np.full(pairs, 1.0 / pairs), size=draws).astype(np.float64)


def _resampled(tallies: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics of each draw, (draws,)."""
    # bins that are empty in every pair cost most of the time and hold nothing
    used = np.flatnonzero(tallies[:, _HISTOGRAM:].any(axis=0))
    first, last = (used[0], used[-1]) if len(used) else (0, 0)
    kept = np.concatenate(
        [tallies[:, :_HISTOGRAM], tallies[:, _HISTOGRAM + first : _HISTOGRAM + last + 1]], axis=1
    )
    chunks = [
        _figures(times[start : start + _CHUNK] @ kept, int(first)) for start in range(0, len(times), _CHUNK)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _interval(values: np.ndarray) -> tuple[float, float]:
    if np.isnan(values).any():
        return math.nan, math.nan
    # an order statistic, not a mean of two, of which one may be infinite
    low, high = np.quantile(values, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _figures(pooled: np.ndarray, first_bin: int) -> dict[str, np.ndarray]:
    """Metrics of D tallies, (D,) each; the histogram of each starts at bin `first_bin`."""
    count = pooled[:, _COUNT]
    per_pixel = 1.0 / np.where(count > 0, count, np.nan)
    squares = pooled[:, _SQUARE_X] + pooled[:, _SQUARE_Y]
    motion = np.where(pooled[:, _MOTION] > 0, pooled[:, _MOTION], np.nan)
    return {
        "epe_mean": pooled[:, _LENGTH] * per_pixel,
        **_percentiles(pooled[:, _HISTOGRAM:], first_bin),
        "rmse_dx": np.sqrt(pooled[:, _SQUARE_X] * per_pixel),
        "rmse_dy": np.sqrt(pooled[:, _SQUARE_Y] * per_pixel),
        "bias_dx": pooled[:, _SUM_X] * per_pixel,
        "bias_dy": pooled[:, _SUM_Y] * per_pixel,
        "r2": 1.0 - squares / motion,
    }


def _percentiles(histogram: np.ndarray, first_bin: int) -> dict[str, np.ndarray]:
    """Quantiles of each row of a histogram, linear between order statistics like `numpy.percentile`'s."""
    below = np.cumsum(histogram, axis=1)
    count = below[:, -1]
    found = {}
    for name, share in _QUANTILES.items():
        rank = share * np.maximum(count - 1, 0)
        lower = np.floor(rank)
        small = _order_statistic(histogram, below, lower, first_bin)
        large = _order_statistic(histogram, below, np.minimum(lower + 1, np.maximum(count - 1, 0)), first_bin)
        part = rank - lower
        # not small + part * (large − small): both may be infinite
        with np.errstate(invalid="ignore"):
            value = np.where(part > 0, (1 - part) * small + part * large, small)
        found[name] = np.where(count > 0, value, np.nan)
    return found


def _order_statistic(
    histogram: np.ndarray, below: np.ndarray, rank: np.ndarray, first_bin: int
) -> np.ndarray:
    """The value of a rank (0 for the least) in each row, geometrically between its bin's edges."""
    # one search in all rows at once: each row's counts start where those of the row before ended
    offset = np.arange(len(below)) * (below.max(initial=0.0) + 1.0)
    flat = np.searchsorted((below + offset[:, None]).ravel(), rank + offset, side="right")
    place = np.clip(flat - np.arange(len(below)) * below.shape[1], 0, below.shape[1] - 1)
    rows = np.arange(len(below))
    inside = histogram[rows, place]
    before = below[rows, place] - inside
    part = (rank - before + 0.5) / np.where(inside > 0, inside, 1.0)
    number = place + first_bin
    value = _LOWEST_PX * np.exp(_STEP * (number - 1 + part))
    return np.where(number == 0, 0.0, np.where(number == _BINS + 1, np.inf, value))
