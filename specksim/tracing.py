"""Ray optics of a scene: its thickness over all from where light may reach the frame, and where rays go."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from specksim import phantoms
from specksim.blocks import block_mean, block_mean_and_range
from specksim.compiled import kernel
from specksim.drift import Drift, drift_room_px
from specksim.materials import refractive_index
from specksim.optics import rays, refraction
from specksim.sandpaper import Place, SpeckleField, cut
from specksim.setups import Setup
from specksim.validity import fringe_reach_px

_LEAST_MARGIN_PX = 8
_FARTHEST_PX = 256
_BAND_ROWS = 64


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
    limit = max(*setup.detector.shape, _FARTHEST_PX)
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
    most = np.float32(0.0)
    down, right = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    other_down, other_right = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    for i in range(rows):
        row, below = thickness[i], thickness[min(i + 1, rows - 1)]
        # by column and into another row each time: so the compiler works on several at a time
        for j in range(columns):
            step = abs(below[j] - row[j])
            other_down[j] = step if step > down[j] else down[j]
        for j in range(columns - 1):
            step = abs(row[j + 1] - row[j])
            other_right[j] = step if step > right[j] else right[j]
        down, other_down, right, other_right = other_down, down, other_right, right
    for j in range(columns):
        most = max(most, max(down[j], right[j]))
    return most


def refract(
    setup: Setup,
    thickness_m: Mapping[str, np.ndarray],
    drift: Drift | None = None,
    first: int = 0,
    total: int | None = None,
) -> list[RefractedLine]:
    """Displacement, that of a drift behind the object included, and transmission of the rays at each line.

    The thickness may be that of a band of a grid of `total` rows of rays, which begins at row `first`.
    """
    lines, n = [], setup.numerics.oversampling
    for weight, line in setup.lines:
        constants = [refractive_index(material, line.beam.energy_kev) for material in thickness_m]
        bent = refraction.refract(
            tuple(thickness_m.values()),
            np.array(constants),
            line.effective_distance_m,
            line.ray_pitch_m,
            line.wavenumber_per_m,
        )
        d, transmission = bent[:2], bent[2]
        if drift is not None:
            down = first + 0.5 * (d[0].shape[0] - (total or d[0].shape[0]))
            d = drift.seen_from(down / n).behind(*d, n)
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


@dataclass(frozen=True)
class Truth:
    """Ground truth on the detector pixels of the frame and its margin, (rows, columns) float32.

    Attributes
    ----------
    dx, dy : arrays
        Mean displacement, pixels.
    phase : array
        Mean phase shift, rad.
    transmission : array
        Mean transmission.
    ranges : (2, 2, rows, columns) array
        Smallest and largest dx, then dy, pixels.
    """

    dx: np.ndarray
    dy: np.ndarray
    phase: np.ndarray
    transmission: np.ndarray
    ranges: np.ndarray

    @classmethod
    def empty(cls, setup: Setup, cells: tuple[int, int]) -> "Truth":
        """For a grid of ray cells, to be filled in by `trace_rays`."""
        shape = [size // setup.numerics.oversampling for size in cells]
        dx, dy, phase, transmission = np.empty((4, *shape), np.float32)
        return cls(dx, dy, phase, transmission, np.empty((2, 2, *shape), np.float32))

    def fill(self, setup: Setup, rows: slice, line: RefractedLine, phase: np.ndarray) -> None:
        """Fill in the pixels of some rows of rays, from all lines together and the phase of the cells."""
        n = setup.numerics.oversampling
        pixels = slice(rows.start // n, rows.stop // n)
        block_mean(phase, n, 1.0, self.phase[pixels])
        block_mean(line.transmission, n, 1.0, self.transmission[pixels])
        for d, mean, (low, high) in zip((line.dx, line.dy), (self.dx, self.dy), self.ranges, strict=True):
            block_mean_and_range(d, n, 1.0 / n, mean[pixels], low[pixels], high[pixels])


@dataclass(frozen=True)
class Carried:
    """Speckle on its way through an object.

    Attributes
    ----------
    field : SpeckleField
    place : Place
    speckle : (H', W') float32
        `cut` of the field at the place.
    arrived : (H', W') float32
        Light on the ray grid, relative to the mean of the reference, spread by the spline of `rays.deposit`.
    """

    field: SpeckleField
    place: Place
    speckle: np.ndarray
    arrived: np.ndarray

    @classmethod
    def start(cls, field: SpeckleField, place: Place, speckle: np.ndarray) -> "Carried":
        """Speckle of which nothing has arrived yet."""
        return cls(field, place, speckle, np.zeros_like(speckle))

    def add(self, rows: slice, lines: Sequence[RefractedLine]) -> None:
        """Carry the light of some rows of rays to where they go."""
        for number, line in enumerate(lines):
            if self.field.lines:
                intensity = self.field.lines[number].intensity
                light = cut(intensity, self.place, self.arrived.shape, rows=rows)
                light *= np.float32(line.weight)
            else:
                light = (
                    np.float32(line.weight) * self.speckle[rows] if line.weight != 1 else self.speckle[rows]
                )
            rays.deposit_rows(light * line.transmission, line.dx, line.dy, rows.start, self.arrived)


def trace_rays(
    setup: Setup,
    thickness_m: Mapping[str, np.ndarray],
    drift: Drift | None,
    truth: Truth | None = None,
    carried: Carried | None = None,
) -> None:
    """Send rays through a scene, from its thickness at the corners of the ray cells.

    By bands of rows that stay in a processor's cache: whole maps of what rays do would come from memory.

    Parameters
    ----------
    setup : Setup
    thickness_m : mapping of str to (H' + 1, W' + 1) float32
    drift : Drift or None
    truth : Truth, optional
        Is filled in.
    carried : Carried, optional
        Its light is added to what has arrived.
    """
    n = setup.numerics.oversampling
    step = n * max(1, _BAND_ROWS // n)
    total = next(iter(thickness_m.values())).shape[0] - 1
    for first in range(0, total, step):
        rows = slice(first, min(first + step, total))
        band_m = {name: values[first : rows.stop + 1] for name, values in thickness_m.items()}
        lines = refract(setup, band_m, drift, first, total)
        if truth is not None:
            truth.fill(setup, rows, mean_refraction(lines), phase_shift(setup, band_m))
        if carried is not None:
            carried.add(rows, lines)
