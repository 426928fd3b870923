"""Sandpaper in the beam: the speckle it makes, in fields from which the speckle of each pair is cut.

Simulated fields are periodic, so that a frame may be cut anywhere.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.fft import next_fast_len

from specksim.compiled import kernel
from specksim.grains import draw_grains, project_grains
from specksim.optics.waves import binned_intensity, propagate_in_place, transmitted_wave
from specksim.setups import Setup

MAX_ALIASED = 0.015
"""Share of neighbouring wave samples that may differ by more than π in phase."""

_FIELD_SAMPLES = 4096
_TRIAL_SAMPLES = 2048
_SAMPLE_BYTES = 12  # thickness and wave
_GRAIN_BYTES = 4000  # planes, and what drawing them takes
_TURNED = 8  # columns that are transposed at a time
_FIELD_GRAINS = 10  # so that coverage and size of the grains mean something


@dataclass(frozen=True)
class SpeckleField:
    """A speckle field in the object plane.

    Attributes
    ----------
    intensity : (rows, columns) float32
        Intensity at the detector's distance on the ray grid, relative to its mean.
    transmission : float
        Mean intensity behind the grains relative to the beam ahead of them, even layers left out; nan where
        nobody knows.
    lines : tuple of SpeckleField
        The same at each line of a polychromatic beam, of which `intensity` is the weighted mean; empty where
        every line sees `intensity`.
    thickness_m : (rows · f, columns · f) float32 or None
        Thickness of the sandpaper on the wave grid, f samples a ray, m; kept for pairs by wave optics.
    periodic : bool
        Whether a cut may run over an edge to the opposite side. A field that is not is cut within its
        edges; what a cut larger than the field needs more is its mirror image.
    """

    intensity: np.ndarray
    transmission: float
    lines: tuple["SpeckleField", ...] = ()
    thickness_m: np.ndarray | None = None
    periodic: bool = True

    def of_line(self, number: int) -> "SpeckleField":
        """The field at a line of the beam."""
        return self.lines[number] if self.lines else self


@dataclass(frozen=True)
class Place:
    """How the sandpaper lies before an object: turned, mirrored, and where the cut begins on the ray grid.

    A cut from a field that is not `periodic` goes on with its mirror image where the field ends.
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool
    corner: tuple[int, int]
    periodic: bool = True


def field_shape(setup: Setup) -> tuple[int, int]:
    """Shape of a setup's speckle fields on the ray grid.

    Along each axis twice the frame, and at least ten grains; only 1.25 times the frame where that would
    take more than 4096 wave samples, or 4096 samples if that is more. Whole pixels, and a length whose FFT
    is fast.
    """
    shape = []
    grain_px = setup.diffuser.grain_size_um * 1e-6 * setup.diffuser_magnification / setup.object_pixel_m
    for pixels in setup.detector.shape:
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
    lines = 4 * rows * columns * (1 + len(setup.lines))
    return int(_SAMPLE_BYTES * samples + _GRAIN_BYTES * grains + lines)


def simulate_field(setup: Setup, rng: np.random.Generator, *, waves: bool = False) -> SpeckleField:
    """Draw a sandpaper and propagate the wave behind it to the detector.

    Parameters
    ----------
    setup : Setup
    rng : numpy.random.Generator
    waves : bool
        Keep the sandpaper's thickness, without which no pair can be simulated by wave optics.

    Returns
    -------
    SpeckleField

    Raises
    ------
    ValueError
        As `require_sampling`, or if the field is smaller than two grains.
    """
    require_sampling(setup)
    shape, factor = field_shape(setup), setup.waves_per_ray
    grains = draw_grains(setup, (shape[0] * setup.ray_pitch_m, shape[1] * setup.ray_pitch_m), rng)
    thickness = project_grains(grains, (shape[0] * factor, shape[1] * factor))
    lines = [_propagate(line, thickness) for _, line in setup.lines]
    kept = thickness if waves else None
    if len(lines) == 1:
        return replace(lines[0], thickness_m=kept)
    weights = [weight for weight, _ in setup.lines]
    intensity = np.zeros(shape, np.float32)
    for weight, line in zip(weights, lines, strict=True):
        intensity += np.float32(weight) * line.intensity
    through = sum(weight * line.transmission for weight, line in zip(weights, lines, strict=True))
    return SpeckleField(intensity, through, tuple(lines), kept)


def _propagate(setup: Setup, thickness_m: np.ndarray) -> SpeckleField:
    """The field of a sandpaper at one energy."""
    wave = transmitted_wave(
        thickness_m, *setup.diffuser.refractive_index(setup.beam.energy_kev), setup.wavenumber_per_m
    )
    distance_m = setup.diffuser_distance_m + setup.effective_distance_m
    wave = propagate_in_place(wave, setup.wave_pitch_m, distance_m, setup.wavelength_m)
    intensity = binned_intensity(wave, setup.waves_per_ray)
    blur_penumbra(setup, intensity)
    mean = float(intensity.mean(dtype=np.float64))
    intensity /= np.float32(mean)
    return SpeckleField(intensity, mean)


def draw_places(
    field: SpeckleField, shape: tuple[int, int], steps: int, rng: np.random.Generator
) -> list[Place]:
    """Draw the positions of the sandpaper for one pair: at random places, all turned and mirrored alike.

    What is at x in the cut of the first place is at x + (first corner − corner) in that of another, in cells
    of the ray grid, as far as both hold it. `shape` is that of the cuts, which stay within a field that is
    not periodic: ValueError if it has not as many places.
    """
    transpose, flip_rows, flip_columns = (bool(bit) for bit in rng.integers(0, 2, 3))
    if not field.periodic and _lacking(field.intensity.T, shape) > _lacking(field.intensity, shape):
        transpose = False  # or a long frame would be filled up with mirror images of a long field
    room = field.intensity.shape[::-1] if transpose else field.intensity.shape
    if not field.periodic:
        room = tuple(max(size - wanted, 0) + 1 for size, wanted in zip(room, shape, strict=True))
        if steps > math.prod(room):
            raise ValueError(
                f"steps must be <= {math.prod(room)}, got {steps}: a cut of {shape[0]} × {shape[1]} rays, "
                "the frame and what lies around it, has no more places in the measured reference; lower "
                "detector.rows and detector.columns"
            )
    corners = [rng.integers(0, room) for _ in range(steps)]
    turn = (transpose, flip_rows, flip_columns)
    return [Place(*turn, (int(row), int(column)), field.periodic) for row, column in corners]


def _lacking(values: np.ndarray, shape: tuple[int, int]) -> int:
    """Rows and columns that an array lacks to hold a cut."""
    return sum(max(wanted - size, 0) for size, wanted in zip(values.shape, shape, strict=True))


def cut(
    whole: np.ndarray,
    place: Place,
    shape: tuple[int, int],
    scale: int = 1,
    start: int = 0,
    rows: slice | None = None,
) -> np.ndarray:
    """Cut what lies at a place out of a field.

    Parameters
    ----------
    whole : (rows, columns) array
        Of the whole field, `scale` samples a ray along each axis.
    place : Place
    shape : (int, int)
        Rows and columns of the cut, samples.
    scale : int
    start : int
        Where the cut begins, in rays down and right of the place's corner.
    rows : slice, optional
        The rows of the cut that are wanted; all unless given.

    Returns
    -------
    (rows, columns) array
        A copy.
    """
    turned = whole.T if place.transpose else whole
    turned = turned[:: -1 if place.flip_rows else 1, :: -1 if place.flip_columns else 1]
    if not place.periodic:
        short = [max(wanted - size, 0) for wanted, size in zip(shape, turned.shape, strict=True)]
        turned = np.pad(turned, [(n // 2, n - n // 2) for n in short], mode="symmetric")
    first_row, first_column = (scale * (corner + start) for corner in place.corner)
    first, stop, _ = (rows or slice(None)).indices(shape[0])
    out = np.empty((stop - first, shape[1]), whole.dtype)
    for down, source_rows in _pieces(first_row + first, stop - first, turned.shape[0]):
        for right, source_columns in _pieces(first_column, shape[1], turned.shape[1]):
            if place.transpose:
                _turn(turned[source_rows, source_columns].T, out[down, right])
            else:
                out[down, right] = turned[source_rows, source_columns]
    return out


@kernel
def _turn(source, out):
    """out = source.T, by strips of columns whose lines stay in the cache."""
    rows, columns = out.shape
    for first in range(0, columns, _TURNED):
        for i in range(rows):
            for j in range(first, min(first + _TURNED, columns)):
                out[i, j] = source[j, i]


def blur_penumbra(setup: Setup, intensity: np.ndarray) -> None:
    """Penumbra of a diffuser upstream of the sample, in place, as far as it exceeds that of the sample.

    The sample's own is part of `Setup.blur_px`, which everything that reaches the detector is given.
    """
    excess_px = math.sqrt(max(setup.diffuser_blur_px**2 - setup.source_blur_px**2, 0.0))
    if excess_px > 0:
        from scipy import ndimage  # which few setups need

        sigma = excess_px * setup.numerics.oversampling
        ndimage.gaussian_filter(intensity, sigma, mode="wrap", output=intensity)


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
    thickness = project_grains(grains, (side, side))
    share = sum(weight * _steep_share_at(line, thickness) for weight, line in setup.lines)
    if share > MAX_ALIASED:
        raise ValueError(
            f"the sandpaper's phase is too steep for the wave grid: {100 * share:.2f} % of neighbouring "
            f"samples differ by more than π (limit {100 * MAX_ALIASED:g} %) with "
            f"{setup.diffuser.sheets} sheets of {setup.diffuser.grain_size_um:g} µm grains at a pitch of "
            f"{pitch * 1e6:.3g} µm: lower numerics.wave_pitch_um (to {pitch * 0.5e6:.2g}?) or the sheets"
        )


def _steep_share_at(setup: Setup, thickness_m: np.ndarray) -> float:
    """Share of neighbouring samples of a sandpaper that differ by more than π at a setup's energy."""
    delta, _ = setup.diffuser.refractive_index(setup.beam.energy_kev)
    return steep_share(thickness_m, 0.5 * setup.wavelength_m / abs(delta)) if delta else 0.0


def steep_share(path: np.ndarray, limit: float) -> float:
    """Share of neighbouring samples, along both axes, that differ by more than `limit`."""
    return _steep_share(path, np.float32(limit))


@kernel
def _steep_share(path, limit):
    steep = 0
    rows, columns = path.shape
    for i in range(rows - 1):
        for j in range(columns - 1):
            here = path[i, j]
            steep += int(abs(path[i, j + 1] - here) > limit) + int(abs(path[i + 1, j] - here) > limit)
    return steep / (2.0 * (rows - 1) * (columns - 1))
