"""Objects whose thickness is a formula over the whole frame: empty, wedge, steps, blobs, star.

Each has a function that draws it and one that gives its thickness. Lengths scale with the frame; slopes are
|∇T|, and 0.15 is 0.01 px for nylon in the default preset.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from specksim.grid import Grid
from specksim.phantoms.draws import Scene, frame_um, log_uniform
from specksim.setups import Setup

Maps = dict[str, np.ndarray]

_MARGIN_PX = 64
"""What lies around a frame and may send light into it, for formulas that need to know."""


def draw_empty(rng: np.random.Generator, setup: Setup) -> Scene:
    """Nothing: a pair without motion."""
    return {}


def empty(scene: Mapping[str, Any], grid: Grid) -> Maps:
    """No thickness anywhere."""
    return {scene["material"]: np.zeros(grid.shape, np.float32)}


def draw_wedge(rng: np.random.Generator, setup: Setup) -> Scene:
    """A wedge over the whole frame, slope 0.15 to 2 in any direction: a constant displacement."""
    height, width = frame_um(setup)
    slope, angle = log_uniform(rng, 0.15, 2.0), rng.uniform(0, 2 * math.pi)
    slope_x, slope_y = slope * math.cos(angle), slope * math.sin(angle)
    around = _MARGIN_PX * 1e6 * setup.object_pixel_m
    base = abs(slope_x) * (0.5 * width + around) + abs(slope_y) * (0.5 * height + around)
    return {"base_um": base, "slope_x": slope_x, "slope_y": slope_y}


def wedge(scene: Mapping[str, Any], grid: Grid) -> Maps:
    """T = base + slope_x · x + slope_y · y, where that is positive."""
    thickness = 1e-6 * scene["base_um"] + scene["slope_x"] * grid.x_m + scene["slope_y"] * grid.y_m[:, None]
    return {scene["material"]: np.maximum(thickness, 0.0).astype(np.float32)}


def draw_steps(rng: np.random.Generator, setup: Setup) -> Scene:
    """A staircase in any direction: two to six risers of slope 0.3 to 2, up or down, between flat treads.

    Walls along the beam are no ray optics, so risers lean.
    """
    side = min(frame_um(setup))
    number = int(rng.integers(2, 7))
    spacing = 1.4 * side / (number + 1)
    position, knots, heights = -0.7 * side, [0.0], [0.0]
    for _ in range(number):
        position += spacing
        middle = position + rng.uniform(-0.15, 0.15) * spacing
        half = 0.5 * rng.uniform(0.1, 0.5) * spacing
        rise = rng.choice([-1.0, 1.0]) * log_uniform(rng, 0.3, 2.0) * 2 * half
        knots += [middle - half, middle + half]
        heights += [heights[-1], heights[-1] + rise]
    lowest = min(heights)
    return {
        "angle_rad": rng.uniform(0, 2 * math.pi),
        "knots_um": knots[1:],
        "thickness_um": [float(height - lowest) for height in heights[1:]],
    }


def steps(scene: Mapping[str, Any], grid: Grid) -> Maps:
    """T between the knots is linear along the direction `angle_rad` (from x towards y), constant beyond."""
    position = _along(grid, scene["angle_rad"])
    knots, thickness = (1e-6 * np.asarray(scene[name]) for name in ("knots_um", "thickness_um"))
    return {scene["material"]: np.interp(position, knots, thickness).astype(np.float32)}


def draw_blobs(rng: np.random.Generator, setup: Setup) -> Scene:
    """A smooth random field: 10 to 40 round Gaussian bumps, each of steepest slope 0.15 to 1.5."""
    height, width = frame_um(setup)
    bumps = []
    for _ in range(rng.integers(10, 41)):
        sigma = log_uniform(rng, 0.03, 0.2) * min(height, width)
        # a Gaussian of height h is steepest at its sigma: h / (sigma √e)
        top = log_uniform(rng, 0.15, 1.5) * sigma * math.sqrt(math.e)
        bumps.append([rng.uniform(-0.6, 0.6) * width, rng.uniform(-0.6, 0.6) * height, sigma, top])
    return {"bumps_um": bumps}


def blobs(scene: Mapping[str, Any], grid: Grid) -> Maps:
    """T = Σ h exp(−|r − r₀|² / 2σ²) over the bumps (x₀, y₀, σ, h)."""
    x, y, sigma, top = 1e-6 * np.asarray(scene["bumps_um"], float).T[..., None]
    across = np.exp(-0.5 * ((grid.x_m - x) / sigma) ** 2)
    down = top * np.exp(-0.5 * ((grid.y_m - y) / sigma) ** 2)
    return {scene["material"]: (down.T @ across).astype(np.float32)}


def draw_star(rng: np.random.Generator, setup: Setup) -> Scene:
    """A sine of constant slope whose period grows from 8 px to 0.4 of the frame, along x or y.

    `slope` is the amplitude of ∇T, 0.7 to 2; see `star`.
    """
    height, width = frame_um(setup)
    vertical = bool(rng.integers(2))
    length = height if vertical else width
    first = 8e6 * setup.object_pixel_m
    return {
        "angle_rad": 0.5 * math.pi * vertical,
        "slope": log_uniform(rng, 0.7, 2.0),
        "start_um": -0.5 * length,
        "length_um": length,
        "period_um": [first, max(0.4 * length, 2 * first)],
    }


def star(scene: Mapping[str, Any], grid: Grid) -> Maps:
    """The thickness whose slope is a sine of growing period.

    With s the way from `start_um` along `angle_rad`, the local period P(s) grows linearly over `length_um`
    from the first to the second of `period_um`, and

        ∂T/∂s = slope · cos Φ(s),   Φ(s) = ∫₀ˢ 2π ds / P(s) = 2π/P′ · ln(P(s)/P(0)).

    So the displacement along s is −zδ · slope · cos Φ, of one amplitude at all periods, and none across.

    Notes
    -----
    The star pattern of the DIC Challenge 2.0 (Reu et al., Experimental Mechanics 62, 639, 2022,
    doi:10.1007/s11340-021-00806-6) displaces across the direction in which its period grows, which is not the
    gradient of any phase; here both are along s.
    """
    first, last = (1e-6 * period for period in scene["period_um"])
    length = 1e-6 * scene["length_um"]
    growth = (last - first) / length
    way = _along(grid, scene["angle_rad"]) - 1e-6 * scene["start_um"]
    most = length + 0.5 * first / growth
    period = first + growth * np.clip(way, -0.5 * first / growth, most)
    # ∫ cos(a ln u) du = u (cos(a ln u) + a sin(a ln u)) / (1 + a²)
    a = 2 * math.pi / growth
    argument = a * np.log(period / first)
    wave = period / growth / (1 + a * a) * (np.cos(argument) + a * np.sin(argument))
    base = (first + growth * most) / growth / math.hypot(1, a)  # matter is never negative
    return {scene["material"]: (scene["slope"] * (base + wave)).astype(np.float32)}


def _along(grid: Grid, angle_rad: float) -> np.ndarray:
    """Coordinate of the grid's points along a direction, (rows, columns), m."""
    return math.cos(angle_rad) * grid.x_m + math.sin(angle_rad) * grid.y_m[:, None]
