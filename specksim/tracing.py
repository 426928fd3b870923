"""Optical paths of a scene, over all from where light may reach the frame."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim import phantoms
from specksim.materials import refractive_index
from specksim.setups import Setup
from specksim.validity import fringe_reach_px

_LEAST_MARGIN_PX = 8
_FARTHEST_PX = 256


@dataclass(frozen=True)
class OpticalPaths:
    """δT and βT summed over a scene's materials, (H + 1, W + 1) float32, m, at the ray cells' corners."""

    refraction: np.ndarray
    absorption: np.ndarray


def optical_paths(setup: Setup, scene: Mapping[str, Any], margin_px: int) -> OpticalPaths:
    """Optical paths of a scene over the frame and `margin_px` detector pixels around it."""
    nodes = setup.ray_nodes(margin_px)
    refraction_path, absorption_path = np.zeros((2, *nodes.shape), np.float32)
    for material, thickness_m in phantoms.thickness(scene, nodes).items():
        delta, beta = refractive_index(material, setup.beam.energy_kev)
        refraction_path += np.float32(delta) * thickness_m
        absorption_path += np.float32(beta) * thickness_m
    return OpticalPaths(refraction_path, absorption_path)


def trace_object(setup: Setup, scene: Mapping[str, Any], extra_px: int = 0) -> tuple[OpticalPaths, int]:
    """Optical paths over the frame and all from where light or fringes may reach it, and that margin, px.

    `extra_px` is room for displacements that are not the object's, such as a drift.

    Raises
    ------
    ValueError
        If rays are displaced by more than the frame's longer side, or 256 px if that is more.
    """
    limit = max(setup.detector.rows, setup.detector.columns, _FARTHEST_PX)
    blur = math.ceil(4 * setup.blur_px) + 2
    margin_px = max(_LEAST_MARGIN_PX, blur, math.ceil(fringe_reach_px(setup)) + 2) + extra_px
    while True:
        paths = optical_paths(setup, scene, margin_px)
        farthest = _farthest_px(setup, paths)
        needed = math.ceil(farthest) + blur + extra_px
        if needed <= margin_px:
            return paths, margin_px
        if farthest > limit:
            raise ValueError(
                f"geometry {scene['geometry']!r} in {scene['material']} displaces rays by {farthest:.3g} px, "
                f"more than {limit} px: its walls are too steep along the beam for ray optics"
            )
        margin_px = needed


def _farthest_px(setup: Setup, paths: OpticalPaths) -> float:
    """Largest displacement along an axis, detector pixels."""
    steepest = max(float(np.abs(np.diff(paths.refraction, axis=axis)).max()) for axis in (0, 1))
    return steepest / setup.ray_pitch_m * setup.effective_distance_m / setup.object_pixel_m
