"""What certain objects tell of a method beyond its errors: resolution, and diameter and δ of bodies."""

import math

import numpy as np

from specksim.benchmark.bodies import can_be_fitted, errors, fit_bodies, rough_guess
from specksim.benchmark.resolution import edge_width_px, noise_level, star_response
from specksim.forward import SpecklePair
from specksim.retrieval import Retrieval
from specksim.setups import Setup

_BORDER_PX = 8  # methods with windows are blind there
_LEAST_SLOPE = 0.5

Numbers = dict[tuple[str, str], float]
"""By group, which is the object's, and metric."""


def special_numbers(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    """Metrics that a pair of some geometry has, one number each; NaN where the result gives none.

    A `star` has the period at which 90 % of its amplitude are recovered; a `wedge`, whose displacement is
    constant, how much of that is recovered, and the noise over it; a staircase (`steps`) the width of the
    response to an edge; spheres and fibres that show enough of themselves the errors of diameter and δ of a
    fit.
    """
    find = _SPECIAL.get(pair.scene["geometry"])
    return {} if find is None or "drift" in pair.scene else find(result, pair, setup)


def _star(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    try:
        found = star_response(result.dx, result.dy, pair.dx, pair.dy, pair.scene, setup).period_90_px
    except ValueError:  # a frame too small for two periods
        found = math.nan
    return {("star", "period_90_px"): found}


def _wedge(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    inside = np.s_[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    dx, dy = result.dx[inside], result.dy[inside]
    true_x, true_y = float(pair.dx.mean()), float(pair.dy.mean())
    slope = float((true_x * dx + true_y * dy).mean()) / (true_x**2 + true_y**2)
    # a result that is shrunk has less noise for nothing: none is told of one that shows less than half
    noise_px = noise_level(dx, dy) / slope if slope > _LEAST_SLOPE else math.nan
    return {("wedge", "slope"): slope, ("wedge", "noise_px"): noise_px}


def _steps(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    try:
        width = edge_width_px(result.dx, result.dy, pair.dx, pair.dy, pair.scene, setup)
    except ValueError:  # no riser in the frame
        width = math.nan
    return {("edge", "edge_width_px"): width}


def _body(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    if not can_be_fitted(pair.scene, setup):
        return {}
    try:
        fit = fit_bodies(result.dx, result.dy, setup, *rough_guess(pair.scene, setup))
        found = errors(fit, pair.scene, setup)
    except ValueError:  # nothing like the body is in the result
        found = {"diameter_error": math.nan, "delta_error": math.nan}
    return {(pair.scene["geometry"], name): value for name, value in found.items()}


_SPECIAL = {"star": _star, "wedge": _wedge, "steps": _steps, "sphere": _body, "fiber": _body}
