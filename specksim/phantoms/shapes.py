"""Objects made of bodies beyond those of training: ellipsoids, cones, tubes, composites.

All lengths scale with the frame's shorter side, so that a draw suits every setup.
"""

import math
from typing import Any

import numpy as np

from specksim.materials import MATERIALS
from specksim.phantoms.draws import fiber, log_uniform
from specksim.phantoms.training import draw_spheres_in_fiber

Bodies = list[dict[str, Any]]


def draw_ellipsoids(rng: np.random.Generator, height_um: float, width_um: float) -> Bodies:
    """One to four ellipsoids with semi-axes of 0.04 to 0.3 of the frame, at most 1 : 3, anyhow turned."""
    side = min(height_um, width_um)
    bodies = []
    for _ in range(rng.integers(1, 5)):
        largest = log_uniform(rng, 0.06, 0.3) * side
        quaternion = rng.standard_normal(4)
        bodies.append(
            {
                "shape": "ellipsoid",
                "x_um": rng.uniform(-0.5, 0.5) * width_um,
                "y_um": rng.uniform(-0.5, 0.5) * height_um,
                "semi_axes_um": [largest, *(largest * rng.uniform(1 / 3, 1, 2)).tolist()],
                "rotation": (quaternion / np.linalg.norm(quaternion)).tolist(),
            }
        )
    return bodies


def draw_cones(rng: np.random.Generator, height_um: float, width_um: float) -> Bodies:
    """One to three cones, 0.1 to 0.3 of the frame in radius, 0.5 to 3 radii high.

    Their axes are 10° off the object plane at least: a base along the beam is no ray optics.
    """
    side = min(height_um, width_um)
    bodies = []
    for _ in range(rng.integers(1, 4)):
        radius = log_uniform(rng, 0.1, 0.3) * side
        bodies.append(
            {
                "shape": "cone",
                "x_um": rng.uniform(-0.4, 0.4) * width_um,
                "y_um": rng.uniform(-0.4, 0.4) * height_um,
                "radius_um": radius,
                "height_um": radius * log_uniform(rng, 0.5, 3.0),
                "angle_rad": rng.uniform(0, 2 * math.pi),
                "tilt_rad": math.radians(rng.uniform(10, 90)),
            }
        )
    return bodies


def draw_tubes(rng: np.random.Generator, height_um: float, width_um: float) -> Bodies:
    """One or two endless tubes of 0.06 to 0.25 of the frame in radius, hollow to 0.3 to 0.9 of it."""
    bodies = []
    for _ in range(rng.integers(1, 3)):
        outer = fiber(rng, height_um, width_um, (0.06, 0.25))
        inner = {**outer, "radius_um": outer["radius_um"] * rng.uniform(0.3, 0.9), "inclusion": True}
        bodies += [outer, inner]
    return bodies


def draw_composite(rng: np.random.Generator, height_um: float, width_um: float) -> Bodies:
    """A fibre with one to twelve spheres in it: voids, or grains of nylon, PMMA or Al2O3."""
    host, *inclusions = draw_spheres_in_fiber(rng, height_um, width_um)
    grains = [None, *MATERIALS]
    return [host, *({**body, "material": grains[rng.integers(len(grains))]} for body in inclusions)]
