"""Ray optics of a scene: its thickness over all from where light may reach the frame, and where rays go."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from specksim import phantoms
from specksim.compiled import kernel
from specksim.drift import Drift, drift_room_px
from specksim.materials import refractive_index
from specksim.optics import rays, refraction
from specksim.sandpaper import Place, SpeckleField, cut
from specksim.setups import Setup
from specksim.validity import fringe_reach_px

_LEAST_MARGIN_PX = 8
_FARTHEST_PX = 256


@dataclass(frozen=True)
class OpticalPaths:
    """δT and βT summed over a scene's materials, (H + 1, W + 1) float32, m, at the ray cells' corners."""

    refraction: np.ndarray
    absorption: np.ndarray


@dataclass(frozen=True)
class RefractedLine:
    """What an object does to the rays of one line of the beam; (H', W') float32 on the ray grid.

    Attributes
    ----------
    weight : float
        Share of the line in the reference.
    transmission : array
    dx, dy : arrays
        Displacement along columns and rows, cells of the ray grid.
    """

    weight: float
    transmission: np.ndarray
    dx: np.ndarray
    dy: np.ndarray


def optical_paths(thickness_m: Mapping[str, np.ndarray], energy_kev: float) -> OpticalPaths:
    """Optical paths through the thickness of each material of a scene, at an energy."""
    parts = [
        [np.float32(index) * thickness for index in refractive_index(material, energy_kev)]
        for material, thickness in thickness_m.items()
    ]
    return OpticalPaths(*(reduce(np.add, paths) for paths in zip(*parts, strict=True)))


def trace_object(setup: Setup, scene: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], int]:
    """Thickness of a scene over the frame and all from where light or fringes may reach it.

    Parameters
    ----------
    setup : Setup
    scene : mapping
        See `phantoms.draw_scene`.

    Returns
    -------
    thickness_m : dict of str to (H' + 1, W' + 1) float32
        By material, at the corners of the ray cells, m.
    margin_px : int
        Width of the margin around the frame, detector pixels.

    Raises
    ------
    ValueError
        If rays are displaced by more than the frame's longer side, or 256 px if that is more.
    """
    extra_px = drift_room_px(setup, scene)
    limit = max(setup.detector.rows, setup.detector.columns, _FARTHEST_PX)
    blur = math.ceil(4 * setup.blur_px) + 2
    margin_px = max(_LEAST_MARGIN_PX, blur, math.ceil(fringe_reach_px(setup)) + 2) + extra_px
    while True:
        thickness_m = phantoms.thickness(scene, setup.ray_nodes(margin_px))
        farthest = _farthest_px(setup, thickness_m)
        needed = math.ceil(farthest) + blur + extra_px
        if needed <= margin_px:
            return thickness_m, margin_px
        if farthest > limit:
            raise ValueError(
                f"geometry {scene['geometry']!r} in {scene['material']} displaces rays by {farthest:.3g} px, "
                f"more than {limit} px: its walls are too steep along the beam for ray optics"
            )
        margin_px = needed


def _farthest_px(setup: Setup, thickness_m: Mapping[str, np.ndarray]) -> float:
    """No less than the largest displacement along an axis at any line of the beam, detector pixels."""
    steepest = {
        material: float(_steepest(np.ascontiguousarray(thickness, np.float32)))
        for material, thickness in thickness_m.items()
    }
    path = max(
        sum(refractive_index(material, line.beam.energy_kev)[0] * step for material, step in steepest.items())
        for _, line in setup.lines
    )
    return path / setup.ray_pitch_m * setup.effective_distance_m / setup.object_pixel_m


@kernel
def _steepest(thickness):
    """Largest difference of neighbours along either axis."""
    rows, columns = thickness.shape
    most = np.zeros(columns, np.float32)  # by column: so the compiler works on several at a time
    for i in range(rows):
        row, below = thickness[i], thickness[min(i + 1, rows - 1)]
        for j in range(columns):
            step = abs(below[j] - row[j])
            most[j] = step if step > most[j] else most[j]
        for j in range(columns - 1):
            step = abs(row[j + 1] - row[j])
            most[j] = step if step > most[j] else most[j]
    return most.max()


def refract(setup: Setup, thickness_m: Mapping[str, np.ndarray]) -> list[RefractedLine]:
    """Displacement and transmission of the rays at each line of the beam."""
def refract(
    setup: Setup, thickness_m: Mapping[str, np.ndarray], drift: Drift | None = None
) -> list[RefractedLine]:
    """Displacement, that of a drift behind the object included, and transmission of the rays at each line."""
    lines = []
    for weight, line in setup.lines:
        paths = optical_paths(thickness_m, line.beam.energy_kev)
        d = refraction.displacement(paths.refraction, line.effective_distance_m, line.ray_pitch_m)
        if drift is not None:
            d = drift.behind(*d, setup.numerics.oversampling)
        transmission = refraction.transmitted_intensity(paths.absorption, line.wavenumber_per_m)
        lines.append(RefractedLine(weight, transmission, *d))
    return lines


def mean_refraction(lines: Sequence[RefractedLine]) -> RefractedLine:
    """All lines together: transmission Σ w t, displacement Σ w t d / Σ w t."""
    if len(lines) == 1:
        return lines[0]
    total, dx, dy = (np.zeros_like(lines[0].dx) for _ in range(3))
    for line in lines:
        light = np.float32(line.weight) * line.transmission
        total += light
        dx += light * line.dx
        dy += light * line.dy
    arrived = np.maximum(total, np.finfo(np.float32).tiny)  # where nothing comes through nothing moves
    return RefractedLine(1.0, total, dx / arrived, dy / arrived)


def phase_shift(setup: Setup, thickness_m: Mapping[str, np.ndarray]) -> np.ndarray:
    """Phase of the object at the energy of the beam, or its effective one, (H', W') float32, rad."""
    k, energy_kev = setup.wavenumber_per_m, setup.beam.energy_kev
    return reduce(
        np.add,
        (
            refraction.phase_shift(thickness, k * refractive_index(material, energy_kev)[0])
            for material, thickness in thickness_m.items()
        ),
    )


def refracted_light(field: SpeckleField, place: Place, lines: Sequence[RefractedLine]) -> np.ndarray:
    """Light of the speckle at a place where the rays behind an object carry it.

    Returns
    -------
    (H', W') float32
        On the ray grid, relative to the mean of the reference, spread by the spline of `rays.deposit`.
    """

    def carried(number: int, line: RefractedLine) -> np.ndarray:
        light = cut(field.of_line(number).intensity, place, line.dx.shape)
        light *= line.transmission
        light *= np.float32(line.weight)
        return rays.deposit(light, line.dx, line.dy)

    return reduce(np.add, (carried(number, line) for number, line in enumerate(lines)))
