"""A flower like those of wattle (Acacia): a core, and hundreds of thin filaments with round tips."""

import math
from typing import Any

import numpy as np

from specksim.phantoms.draws import Scene, frame_um
from specksim.setups import Setup

_STEEPEST_RAD = math.radians(60)
"""Filaments along the beam are no ray optics: they would be millimetres thick behind a sharp rim."""
_PIECES = 4
_ROUND_UM = 2  # decimals that are kept: hundreds of bodies a scene


def draw_flower(rng: np.random.Generator, setup: Setup) -> Scene:
    """A head 5 to 10 mm wide, whatever the frame's size, of which a frame of 2.5 mm shows a part.

    A core of 0.12 to 0.2 of the head's radius holds 200 to 400 filaments, 8 to 14 µm in radius, that point
    everywhere but along the beam and bend on their way. Each ends in an anther, three to four times as thick.
    The frame's centre is within the head, up to 0.8 of its radius from its middle. Bodies far out of
    the frame are left out of the scene.
    """
    height, width = frame_um(setup)
    head = rng.uniform(2500.0, 5000.0)
    away, towards = 0.8 * head * rng.random(), rng.uniform(0, 2 * math.pi)
    middle = np.array([away * math.cos(towards), away * math.sin(towards), 0.0])
    core = rng.uniform(0.12, 0.2) * head
    bodies = [_ball(middle, core)]
    for _ in range(rng.integers(200, 401)):
        bodies += _filament(rng, middle, core, head)
    reach = 0.5 * math.hypot(height, width) + 64e6 * setup.object_pixel_m
    return {"bodies": [body for body in bodies if _distance_um(body) < reach]}


def _filament(rng: np.random.Generator, middle: np.ndarray, core: float, head: float) -> list[dict[str, Any]]:
    """Straight pieces, each turned a little against the one before it, and an anther.

    Bodies add up: where the round ends of two pieces overlap the filament has a knot.
    """
    direction = _off_the_beam(rng.standard_normal(3))
    length = rng.uniform(0.8, 1.0) * head - core
    radius = rng.uniform(8.0, 14.0)
    bend = 0.12 * rng.standard_normal(3)
    start, bodies = middle + core * direction, []
    for _ in range(_PIECES):
        tilt = math.asin(direction[2])
        stop = start + direction * length / _PIECES
        bodies.append(
            {
                "shape": "capsule",
                **_place(0.5 * (start + stop)),
                "radius_um": round(radius, _ROUND_UM),
                "length_um": round(length / _PIECES, _ROUND_UM),
                "angle_rad": round(math.atan2(direction[1], direction[0]), 5),
                "tilt_rad": round(tilt, 5),
            }
        )
        start = stop
        direction = _off_the_beam(direction + bend)
    return [*bodies, _ball(start, radius * rng.uniform(3.0, 4.0))]


def _off_the_beam(vector: np.ndarray) -> np.ndarray:
    """The direction of a vector, or the nearest one that is 30° off the beam."""
    across, along = math.hypot(vector[0], vector[1]), vector[2]
    tilt = np.clip(math.atan2(along, across), -_STEEPEST_RAD, _STEEPEST_RAD)
    return np.array([*(math.cos(tilt) / across * vector[:2]), math.sin(tilt)])


def _ball(place: np.ndarray, radius: float) -> dict[str, Any]:
    return {"shape": "sphere", **_place(place), "radius_um": round(radius, _ROUND_UM)}


def _place(place: np.ndarray) -> dict[str, float]:
    return {"x_um": round(float(place[0]), _ROUND_UM), "y_um": round(float(place[1]), _ROUND_UM)}


def _distance_um(body: dict[str, Any]) -> float:
    """From the frame's centre to the nearest point that a body may have."""
    extent = body["radius_um"] + 0.5 * body.get("length_um", 0.0)
    return math.hypot(body["x_um"], body["y_um"]) - extent
