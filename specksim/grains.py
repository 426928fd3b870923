"""Grains of sandpaper: random convex polyhedra, and their projected thickness.

Grains have 12 to 16 faces and lognormal diameters. One sheet holds one layer: it is cut into as many cells as
it has grains, each grain lies at a random place in its own cell.
"""

import math
from dataclasses import dataclass

import numpy as np

from specksim.compiled import kernel
from specksim.convex import add_convex, chords, rotation_matrices, upper_and_lower
from specksim.setups import Setup

_FACES = (12, 16)
_REFINEMENTS = 2  # of a grain's extent, each 48 times finer: 2e-3 of its size, at most 1.5e-3 of its area
_BAND = 256  # rows of the map on which grains are drawn at a time, so that it stays in the cache
_OUTLINE_ROWS = 48  # chords that measure the area of a grain's outline: 0.06 % of it, at most 0.5 %


@dataclass(frozen=True)
class Grains:
    """The grains of all sheets over a periodic area.

    Attributes
    ----------
    planes : (n, 2, m, 3) float64
        Faces of each grain around its centre, see `convex.upper_and_lower`; lengths in m.
    centre_m : (n, 2) float64
        (y, x) of each grain, m.
    area_m2 : (n,) float64
        Area of each grain's outline as seen along the beam, m².
    size_m : (float, float)
        Height and width of the periodic area, m.
    """

    planes: np.ndarray
    centre_m: np.ndarray
    area_m2: np.ndarray
    size_m: tuple[float, float]


def draw_grains(setup: Setup, size_m: tuple[float, float], rng: np.random.Generator) -> Grains:
    """Draw the grains of all sheets of a setup's diffuser over a periodic area in the object plane.

    The diameter of a grain is that of a circle of the area of its outline. The number of grains follows
    from the coverage: area of all outlines = coverage × area of the sheet, on average.

    Parameters
    ----------
    setup : Setup
    size_m : (float, float)
        Height and width of the area, m.
    rng : numpy.random.Generator

    Returns
    -------
    Grains

    Raises
    ------
    ValueError
        If the area is smaller than two grains: they would overlap themselves.
    """
    diffuser = setup.diffuser
    median = diffuser.grain_size_um * 1e-6 * setup.diffuser_magnification
    if median > 0.5 * min(size_m):
        raise ValueError(
            f"diffuser.grain_size_um: grains of {1e6 * median:.3g} µm do not fit twice into a field of "
            f"{1e6 * min(size_m):.3g} µm; use more or larger pixels"
        )
    mean_area = math.pi / 4 * median**2 * math.exp(2 * diffuser.grain_sigma**2)
    number = max(1, round(diffuser.coverage * size_m[0] * size_m[1] / mean_area))
    centre = np.concatenate([_place_grains(size_m, number, rng) for _ in range(diffuser.sheets)])
    diameter = median * np.exp(diffuser.grain_sigma * rng.standard_normal(len(centre)))
    planes = _unit_grains(len(centre), rng)
    # a grain's planes are scaled sideways to its diameter in the object plane, and along the beam to its
    # true thickness, which a diverging beam does not magnify
    planes[..., 0] *= diameter[:, None, None] / setup.diffuser_magnification
    planes[..., 1:3] /= setup.diffuser_magnification
    return Grains(planes, centre, math.pi / 4 * diameter**2, size_m)


def _place_grains(size_m: tuple[float, float], number: int, rng: np.random.Generator) -> np.ndarray:
    """(y, x) of grains, each at a random place in a cell of its own."""
    rows = math.ceil(math.sqrt(number * size_m[0] / size_m[1]))
    columns = math.ceil(number / rows)
    taken = rng.choice(rows * columns, number, replace=False)
    cell = np.stack([taken // columns, taken % columns], axis=-1)
    place = (cell + rng.random((number, 2))) / (rows, columns) * size_m
    return (place + rng.random(2) * size_m) % size_m


def _unit_grains(number: int, rng: np.random.Generator) -> np.ndarray:
    """Faces of random polyhedra whose outlines have the area of a circle of diameter 1."""
    most = _FACES[1]
    faces = rng.integers(_FACES[0], most + 1, number)
    k = np.minimum(np.arange(most), faces[:, None] - 1)
    # directions spread evenly over the sphere (a Fibonacci lattice), jittered and turned at random:
    # evenly, so that every grain is closed
    z = 1.0 - (2.0 * k + 1.0) / faces[:, None]
    turn = math.pi * (3.0 - math.sqrt(5.0)) * k
    radius = np.sqrt(1.0 - z * z)
    directions = np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=-1)
    directions += 0.25 * np.take_along_axis(rng.standard_normal((number, most, 3)), k[..., None], axis=1)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    turns = rotation_matrices(rng.standard_normal((number, 4)))  # uniform over all rotations
    directions = np.einsum("nij,nkj->nki", turns, directions)
    offsets = np.take_along_axis(rng.uniform(0.8, 1.2, (number, most)), k, axis=1)
    planes = upper_and_lower(directions, offsets)
    area = np.array([_outline_area(grain, 4.0, _OUTLINE_ROWS) for grain in planes])
    planes[..., 0] *= np.sqrt(math.pi / 4 / area)[:, None, None]
    return planes


@kernel
def _outline_area(planes, reach, rows):
    """Area on which a polyhedron has thickness, by chords at `rows` heights within its own extent."""
    low, high = np.empty(rows), np.empty(rows)
    bottom, top = _extent(planes, -reach, low, high), _extent(planes, reach, low, high)
    step = (top - bottom) / rows
    chords(planes, bottom + 0.5 * step, step, low, high)
    total = 0.0
    for row in range(rows):
        total += max(high[row] - low[row], 0.0)
    return total * step


@kernel
def _extent(planes, outside, low, high):
    """Outermost y of a polyhedron that has its centre at 0, towards `outside`, which lies beyond it."""
    inside = 0.0
    for _ in range(_REFINEMENTS):
        step = (outside - inside) / low.shape[0]
        chords(planes, inside, step, low, high)
        last = 0
        while last + 1 < low.shape[0] and low[last + 1] < high[last + 1]:
            last += 1
        inside, outside = inside + last * step, inside + (last + 1) * step
    return inside


def project_grains(grains: Grains, shape: tuple[int, int]) -> np.ndarray:
    """Thickness of all sheets along the beam, (rows, columns) float32, m, periodic on both axes."""
    thickness, pitch_m = np.zeros(shape, np.float32), grains.size_m[0] / shape[0]
    order = np.lexsort((grains.centre_m[:, 1], grains.centre_m[:, 0] // (_BAND * pitch_m)))
    _project(thickness, grains.planes[order], grains.centre_m[order], pitch_m, True)
    return thickness


@kernel
def _project(thickness, planes, centres, pitch, periodic):
    # `periodic` is given: written here it would be a literal, for which `add_convex` is compiled once more
    for k in range(planes.shape[0]):
        add_convex(thickness, planes[k], centres[k, 0], centres[k, 1], 0.0, 0.0, pitch, 1.0, periodic)
