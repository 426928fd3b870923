"""What certain objects tell of a method beyond its errors: resolution, and diameter and δ of bodies."""

import math

from specksim.benchmark.bodies import errors, fit_bodies, fits, rough_guess
from specksim.benchmark.resolution import edge_width_px, star_response
from specksim.forward import SpecklePair
from specksim.retrieval import Retrieval
from specksim.setups import Setup

Numbers = dict[tuple[str, str], float]
"""By group, which is the object's, and metric."""


def special_numbers(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    """Metrics that a pair of some geometry has, one number each; NaN where the result gives none.

    A `star` has the period at which 90 % of its amplitude are recovered, the noise, and their product; a
    staircase (`steps`) the width of the response to an edge; spheres and fibres that show enough of
    themselves the errors of diameter and δ of a fit.
    """
    find = _SPECIAL.get(pair.scene["geometry"])
    return {} if find is None or "drift" in pair.scene else find(result, pair, setup)


def _star(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    names = ("period_90_px", "noise_px", "indicator")
    try:
        found = star_response(result.dx, result.dy, pair.dx, pair.dy, pair.scene, setup)
    except ValueError:  # a frame too small for two periods
        values = (math.nan,) * 3
    else:
        values = (found.period_90_px, found.noise_px, found.indicator)
    return {("star", name): value for name, value in zip(names, values, strict=True)}


def _steps(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    try:
        width = edge_width_px(result.dx, result.dy, pair.dx, pair.dy, pair.scene, setup)
    except ValueError:  # no riser in the frame
        width = math.nan
    return {("edge", "edge_width_px"): width}


def _body(result: Retrieval, pair: SpecklePair, setup: Setup) -> Numbers:
    if not fits(pair.scene, setup):
        return {}
    try:
        fit = fit_bodies(result.dx, result.dy, setup, *rough_guess(pair.scene, setup))
        found = errors(fit, pair.scene, setup)
    except ValueError:  # nothing like the body is in the result
        found = {"diameter_error": math.nan, "delta_error": math.nan}
    return {(pair.scene["geometry"], name): value for name, value in found.items()}


_SPECIAL = {"star": _star, "steps": _steps, "sphere": _body, "fiber": _body}
