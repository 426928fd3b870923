"""The four geometries of the training sets: random spheres, fibres, and voids in a fibre or a block.

All lengths scale with the frame's shorter side, so that a draw suits every setup.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from specksim.convex import rotation_matrices
from specksim.phantoms.draws import fiber, log_uniform, tilted_rotation


def draw_spheres(rng: np.random.Generator, height_um: float, width_um: float) -> list[dict[str, Any]]:
    """One to five spheres of 0.04 to 0.3 of the frame in radius; their centres lie in the frame."""
    side = min(height_um, width_um)
    return [
        {
            "shape": "sphere",
            "x_um": rng.uniform(-0.5, 0.5) * width_um,
            "y_um": rng.uniform(-0.5, 0.5) * height_um,
            "radius_um": log_uniform(rng, 0.04, 0.3) * side,
        }
        for _ in range(rng.integers(1, 6))
    ]


def draw_fibers(rng: np.random.Generator, height_um: float, width_um: float) -> list[dict[str, Any]]:
    """One to three endless fibres of 0.03 to 0.25 of the frame in radius, at any angle, tilt up to 30°."""
    return [fiber(rng, height_um, width_um, (0.03, 0.25)) for _ in range(rng.integers(1, 4))]


def draw_spheres_in_fiber(
    rng: np.random.Generator, height_um: float, width_um: float
) -> list[dict[str, Any]]:
    """A fibre with one to twelve spherical voids that neither leave it nor touch each other."""
    host = fiber(rng, height_um, width_um, (0.12, 0.3))
    radius, length = host["radius_um"], math.hypot(height_um, width_um)
    angle, tilt = host["angle_rad"], host["tilt_rad"]
    # columns: the fibre's axis, and two directions across it, in the laboratory
    axes = np.array(
        [
            [math.cos(tilt) * math.cos(angle), -math.sin(angle), -math.sin(tilt) * math.cos(angle)],
            [math.cos(tilt) * math.sin(angle), math.cos(angle), -math.sin(tilt) * math.sin(angle)],
            [math.sin(tilt), 0.0, math.cos(tilt)],
        ]
    )

    def inside(void: float) -> np.ndarray:
        across = math.sqrt(rng.random()) * (radius - void)
        turn = rng.uniform(0, 2 * math.pi)
        along = rng.uniform(-0.5, 0.5) * length
        return np.array([along, across * math.cos(turn), across * math.sin(turn)])

    voids = _voids(rng, int(rng.integers(1, 13)), (0.15 * radius, 0.7 * radius), inside)
    return [host, *_inclusions(voids, axes, host)]


def draw_spheres_in_block(
    rng: np.random.Generator, height_um: float, width_um: float
) -> list[dict[str, Any]]:
    """A cuboid in any orientation but face-on with two to sixteen spherical voids in it."""
    side = min(height_um, width_um)
    size = np.array([rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.2), rng.uniform(0.25, 0.6)]) * side
    block = {
        "shape": "cuboid",
        "x_um": rng.uniform(-0.2, 0.2) * width_um,
        "y_um": rng.uniform(-0.2, 0.2) * height_um,
        "size_um": size.tolist(),
        "rotation": tilted_rotation(rng),
    }

    def inside(void: float) -> np.ndarray:
        return rng.uniform(-1, 1, 3) * (0.5 * size - void)

    voids = _voids(rng, int(rng.integers(2, 17)), (0.03 * side, 0.45 * size.min()), inside)
    return [block, *_inclusions(voids, rotation_matrices(np.array(block["rotation"])), block)]


def _voids(
    rng: np.random.Generator,
    number: int,
    radius: tuple[float, float],
    inside: Callable[[float], np.ndarray],
) -> list[tuple[np.ndarray, float]]:
    """Up to `number` spheres (centre, radius) that do not touch; places that do are drawn again, 20 times."""
    voids: list[tuple[np.ndarray, float]] = []
    for _ in range(20 * number):
        size = log_uniform(rng, *radius)
        centre = inside(size)
        if all(np.linalg.norm(centre - other) > size + reach for other, reach in voids):
            voids.append((centre, size))
        if len(voids) == number:
            break
    return voids


def _inclusions(
    voids: list[tuple[np.ndarray, float]], axes: np.ndarray, host: dict[str, Any]
) -> list[dict[str, Any]]:
    places = [(axes @ centre, radius) for centre, radius in voids]
    return [
        {
            "shape": "sphere",
            "x_um": host["x_um"] + float(place[0]),
            "y_um": host["y_um"] + float(place[1]),
            "radius_um": radius,
            "inclusion": True,
        }
        for place, radius in places
    ]
