"""Sandpaper: grains, their projected thickness, and the speckle they make.

Grains are random convex polyhedra of 12 to 16 faces with lognormal diameters. One sheet holds one layer:
it is cut into as many cells as it has grains, each grain lies at a random place in its own cell.
The fields are periodic, so that a frame may be cut anywhere.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage
from scipy.fft import next_fast_len

from specksim import materials
from specksim.compiled import kernel
from specksim.convex import add_convex, chord, rotation_matrices, upper_and_lower
from specksim.optics.waves import binned_intensity, propagate_in_place, transmitted_wave
from specksim.setups import Setup

_FACES = (12, 16)
_OUTLINE_ROWS = 48  # chords that measure the area of a grain's outline: 0.1 % of the area
_MAX_ALIASED = 0.015
_FIELD_SAMPLES = 4096
_TRIAL_SAMPLES = 2048
_SAMPLE_BYTES = 12  # thickness and wave
_GRAIN_BYTES = 4000  # planes, and what drawing them takes
_FIELD_GRAINS = 10  # so that coverage and size of the grains mean something


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
    extent = np.zeros(2)
    for side in range(2):  # bisect for the outermost row that the grain touches
        inside, outside = 0.0, reach if side else -reach
        for _ in range(20):
            y = 0.5 * (inside + outside)
            low, high = chord(planes, y)
            if low < high:
                inside = y
            else:
                outside = y
        extent[side] = inside
    step = (extent[1] - extent[0]) / rows
    total = 0.0
    for row in range(rows):
        low, high = chord(planes, extent[0] + (row + 0.5) * step)
        total += max(high - low, 0.0)
    return total * step


def project_grains(grains: Grains, shape: tuple[int, int]) -> np.ndarray:
    """Thickness of all sheets along the beam, (rows, columns) float32, m, periodic on both axes."""
    thickness = np.zeros(shape, np.float32)
    _project(thickness, grains.planes, grains.centre_m, grains.size_m[0] / shape[0])
    return thickness


@kernel
def _project(thickness, planes, centres, pitch):
    for k in range(planes.shape[0]):
        add_convex(thickness, planes[k], centres[k, 0], centres[k, 1], 0.0, 0.0, pitch, 1.0, True)


@dataclass(frozen=True)
class SpeckleField:
    """A speckle field in the object plane.

    Attributes
    ----------
    intensity : (rows, columns) float32
        Intensity at the detector's distance on the ray grid, relative to its mean.
    transmission : float
        Mean intensity behind the sandpaper relative to the beam ahead of it; nan where nobody knows.
    periodic : bool
        Whether a cut may run over an edge to the opposite side. A field that is not is cut within its
        edges; what a cut larger than the field needs more is its mirror image.
    """

    intensity: np.ndarray
    transmission: float
    periodic: bool = True


def field_shape(setup: Setup) -> tuple[int, int]:
    """Shape of a setup's speckle fields on the ray grid.

    Along each axis twice the frame, and at least ten grains; only 1.25 times the frame where that would
    take more than 4096 wave samples, or 4096 samples if that is more. Whole pixels, and a length whose FFT
    is fast.
    """
    shape = []
    grain_px = setup.diffuser.grain_size_um * 1e-6 * setup.diffuser_magnification / setup.object_pixel_m
    for pixels in (setup.detector.rows, setup.detector.columns):
        most = _FIELD_SAMPLES // (setup.numerics.oversampling * setup.waves_per_ray)
        wanted = max(2 * pixels, math.ceil(_FIELD_GRAINS * grain_px))
        wanted = min(wanted, max(math.ceil(1.25 * pixels), most))
        shape.append(next_fast_len(wanted) * setup.numerics.oversampling)
    return shape[0], shape[1]


def field_bytes(setup: Setup) -> int:
    """About the memory that the simulation of a field takes, bytes."""
    rows, columns = field_shape(setup)
    samples = rows * columns * setup.waves_per_ray**2
    grain_m = setup.diffuser.grain_size_um * 1e-6 * setup.diffuser_magnification
    grains = setup.diffuser.sheets * rows * columns * (setup.ray_pitch_m / grain_m) ** 2
    return int(_SAMPLE_BYTES * samples + _GRAIN_BYTES * grains)


def simulate_field(setup: Setup, rng: np.random.Generator) -> SpeckleField:
    """Draw a sandpaper and propagate the wave behind it to the detector.

    Parameters
    ----------
    setup : Setup
    rng : numpy.random.Generator

    Returns
    -------
    SpeckleField

    Raises
    ------
    ValueError
        As `require_sampling`, or if the field is smaller than two grains.
    """
    wave = wave_behind(setup, rng)
    distance_m = setup.diffuser_distance_m + setup.effective_distance_m
    wave = propagate_in_place(wave, setup.wave_pitch_m, distance_m, setup.wavelength_m)
    intensity = binned_intensity(wave, setup.waves_per_ray)
    _blur_in_place(setup, intensity)
    mean = float(intensity.mean(dtype=np.float64))
    intensity /= np.float32(mean)
    return SpeckleField(intensity, mean)


def wave_behind(setup: Setup, rng: np.random.Generator) -> np.ndarray:
    """Wave right behind a sandpaper that is drawn anew, over a whole field.

    Returns
    -------
    (rows, columns) complex64
        On the wave grid, periodic, for a beam of unit amplitude.

    Raises
    ------
    ValueError
        As `simulate_field`.
    """
    require_sampling(setup)
    shape, factor = field_shape(setup), setup.waves_per_ray
    grains = draw_grains(setup, (shape[0] * setup.ray_pitch_m, shape[1] * setup.ray_pitch_m), rng)
    thickness = project_grains(grains, (shape[0] * factor, shape[1] * factor))
    return transmitted_wave(thickness, *_diffuser_index(setup), setup.wavenumber_per_m)


def crop_field(
    field: SpeckleField, shape: tuple[int, int], steps: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut the speckle of one pair out of a field: at random places, turned and mirrored at random.

    Parameters
    ----------
    field : SpeckleField
    shape : (int, int)
        Rows and columns of the cut, on the ray grid.
    steps : int
        Positions of the sandpaper, all turned alike.
    rng : numpy.random.Generator

    Returns
    -------
    speckles : list of (rows, columns) float32
        One a position.
    offsets : (steps, 2) int64
        Offset of the sandpaper from its first position, (rows, columns), cells of the ray grid: what is
        at x in the first is at x + offset in the others, as far as both hold it.
    """
    transpose, flip_rows, flip_columns = (bool(bit) for bit in rng.integers(0, 2, 3))
    turned = field.intensity.T if transpose else field.intensity
    turned = turned[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    room = turned.shape
    if not field.periodic:
        short = [max(wanted - size, 0) for wanted, size in zip(shape, turned.shape, strict=True)]
        turned = np.pad(turned, [(n // 2, n - n // 2) for n in short], mode="symmetric")
        room = tuple(size - wanted + 1 for wanted, size in zip(shape, turned.shape, strict=True))
    corners = np.array([rng.integers(0, room) for _ in range(steps)])
    speckles = [_cut(turned, tuple(corner), shape) for corner in corners]
    return speckles, corners[0] - corners


def _blur_in_place(setup: Setup, intensity: np.ndarray) -> None:
    """Penumbra of a diffuser upstream of the sample, as far as it exceeds that of the sample itself.

    The sample's own is part of `Setup.blur_px`, which everything that reaches the detector is given.
    """
    excess_px = math.sqrt(max(setup.diffuser_blur_px**2 - setup.source_blur_px**2, 0.0))
    if excess_px > 0:
        sigma = excess_px * setup.numerics.oversampling
        ndimage.gaussian_filter(intensity, sigma, mode="wrap", output=intensity)


def _cut(periodic: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Rectangle of a periodic array, pieced together from what lies between its edges."""
    cut = np.empty(shape, periodic.dtype)
    for rows, source_rows in _pieces(corner[0], shape[0], periodic.shape[0]):
        for columns, source_columns in _pieces(corner[1], shape[1], periodic.shape[1]):
            cut[rows, columns] = periodic[source_rows, source_columns]
    return cut


def _pieces(start: int, length: int, period: int) -> Iterator[tuple[slice, slice]]:
    done = 0
    while done < length:
        source = (start + done) % period
        count = min(length - done, period - source)
        yield slice(done, done + count), slice(source, source + count)
        done += count


@lru_cache
def require_sampling(setup: Setup) -> None:
    """Refuse a setup whose sandpaper is too steep in phase for its wave grid.

    Measured once on a sandpaper of its own, so that the answer does not depend on seed or shard.

    Raises
    ------
    ValueError
        If more than 1.5 % of neighbouring samples differ by more than π: the speckle would alias.
    """
    pitch = setup.wave_pitch_m
    grain = setup.diffuser.grain_size_um * 1e-6 * setup.diffuser_magnification / pitch
    side = min(max(_TRIAL_SAMPLES, math.ceil(4 * grain)), 2 * _TRIAL_SAMPLES)
    grains = draw_grains(setup, (side * pitch, side * pitch), np.random.default_rng(0))
    delta, _ = _diffuser_index(setup)
    limit = math.pi / (setup.wavenumber_per_m * delta)
    share = _steep_share(project_grains(grains, (side, side)), limit)
    if share > _MAX_ALIASED:
        raise ValueError(
            f"the sandpaper's phase is too steep for the wave grid: {100 * share:.2f} % of neighbouring "
            f"samples differ by more than π (limit {100 * _MAX_ALIASED:g} %) with "
            f"{setup.diffuser.sheets} sheets of {setup.diffuser.grain_size_um:g} µm grains at a pitch of "
            f"{pitch * 1e6:.3g} µm: lower numerics.wave_pitch_um (to {pitch * 0.5e6:.2g}?) or the sheets"
        )


def _diffuser_index(setup: Setup) -> tuple[float, float]:
    """δ and β of the grains."""
    diffuser = setup.diffuser
    return materials.refractive_index(diffuser.material, setup.beam.energy_kev, diffuser.density_g_cm3)


@kernel
def _steep_share(thickness, limit):
    """Share of neighbours, along both axes, whose thickness differs by more than `limit`."""
    steep = 0
    rows, columns = thickness.shape
    for i in range(rows - 1):
        for j in range(columns - 1):
            here = thickness[i, j]
            steep += int(abs(thickness[i, j + 1] - here) > limit) + int(
                abs(thickness[i + 1, j] - here) > limit
            )
    return steep / (2.0 * (rows - 1) * (columns - 1))
