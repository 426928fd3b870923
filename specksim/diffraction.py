"""Wave optics of a scene: the wave behind sandpaper and object, propagated together."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.fft import next_fast_len

from specksim import phantoms
from specksim.drift import Drift, drift_room_px
from specksim.grid import Grid
from specksim.materials import refractive_index
from specksim.optics.rays import deposit
from specksim.optics.waves import binned_intensity, pass_through, propagate_in_place, transmitted_wave
from specksim.sandpaper import MAX_ALIASED, Place, SpeckleField, blur_penumbra, cut, steep_share
from specksim.setups import Setup

_MOST_SAMPLES = 16384
_FRINGES = 3
_SAMPLE_BYTES = 40  # sandpaper, object, path, and their waves


def wave_margin_px(setup: Setup, extra_px: int = 0) -> int:
    """Width of the margin around the frame within which what wraps around the wave grid stays.

    No wave on a grid of pitch q strays further over a distance z than λz / 2q: that is the steepest slope
    the grid holds. Beyond that there are fringes, a few √(λz) wide, and the blur.

    Parameters
    ----------
    setup : Setup
    extra_px : int
        Room for a drift, detector pixels.

    Returns
    -------
    int
        Detector pixels; the least that is enough and makes the FFT fast.

    Raises
    ------
    ValueError
        If the grid would have more than 16384 samples along an axis.
    """
    spread = max(line.wavelength_m for _, line in setup.lines)
    spread *= setup.diffuser_distance_m + setup.effective_distance_m
    reach_px = (0.5 * spread / setup.wave_pitch_m + _FRINGES * math.sqrt(spread)) / setup.object_pixel_m
    blur_px = 4 * math.hypot(setup.detector.psf_sigma_px, setup.diffuser_blur_px, setup.source_blur_px)
    margin_px = math.ceil(reach_px) + math.ceil(blur_px) + 2 + extra_px
    frame = setup.detector.shape
    samples = (max(frame) + 2 * margin_px) * setup.numerics.oversampling * setup.waves_per_ray
    if samples > _MOST_SAMPLES:
        raise ValueError(
            f"waves need a grid of {samples} samples along an axis, more than {_MOST_SAMPLES}: over "
            f"{setup.effective_distance_m:.3g} m they reach {reach_px:.3g} px beyond the frame; use rays, a "
            "shorter propagation.sample_to_detector_m, a larger numerics.wave_pitch_um or a smaller frame"
        )
    while any(next_fast_len(size + 2 * margin_px) != size + 2 * margin_px for size in frame):
        margin_px += 1
    return margin_px


def wave_grid(setup: Setup, extra_px: int = 0) -> Grid:
    """Samples of the wave over the frame and its margin; ValueError as in `wave_margin_px`."""
    per_px, wide_px = setup.numerics.oversampling * setup.waves_per_ray, wave_margin_px(setup, extra_px)
    rows, columns = ((size + 2 * wide_px) * per_px for size in setup.detector.shape)
    return Grid(rows, columns, setup.wave_pitch_m)


def wave_bytes(setup: Setup) -> int:
    """About the memory that a pair takes beside its field, bytes."""
    grid = wave_grid(setup)
    return _SAMPLE_BYTES * grid.rows * grid.columns


def diffracted_light(
    setup: Setup,
    scene: Mapping[str, Any],
    field: SpeckleField,
    place: Place,
    margin_px: int,
) -> np.ndarray:
    """Intensity behind a sandpaper and an object by wave optics, U = P_z[u_object · P_a[u_sandpaper]].

    Parameters
    ----------
    setup : Setup
    scene : mapping
        See `phantoms.draw_scene`.
    field : SpeckleField
        With the sandpaper's thickness.
    place : Place
        The corner of the cut that has `margin_px` detector pixels around the frame.
    margin_px : int

    Returns
    -------
    (rows, columns) float32
        On the ray grid, relative to the mean of the reference, the frame in its middle; with a drift in the
        scene spread by the spline of `rays.deposit`. At its edges it is
        spoilt by what wraps around the grid: as far as `wave_margin_px`, less the blur.

    Raises
    ------
    ValueError
        If the field holds no sandpaper, or more than 1.5 % of neighbouring samples differ by more than π.

    Notes
    -----
    A source of finite size blurs the whole image as it blurs the speckle, s · (a + z2) / (z1 − a): the
    object's own penumbra, s · z2 / z1, is narrower where the sandpaper stands upstream of it.
    """
    if field.thickness_m is None:
        raise ValueError("wave optics needs the sandpaper of the speckle field: only rays can go through it")
    drift, extra_px = Drift.of(scene), drift_room_px(setup, scene)
    grid, factor = wave_grid(setup, extra_px), setup.waves_per_ray
    start = (margin_px - wave_margin_px(setup, extra_px)) * setup.numerics.oversampling
    sandpaper_m = cut(field.thickness_m, place, grid.shape, factor, start)
    object_m = phantoms.thickness(scene, grid)
    _require_sampling(setup, scene, sandpaper_m, object_m)
    light = np.zeros((grid.rows // factor, grid.columns // factor), np.float32)
    for number, (weight, line) in enumerate(setup.lines):
        intensity = _intensity(line, sandpaper_m, object_m)
        intensity *= np.float32(weight / field.of_line(number).transmission)
        light += intensity
    blur_penumbra(setup, light)
    if drift is None:
        return light
    still = np.zeros_like(light)
    return deposit(light, *drift.behind(still, still, setup.numerics.oversampling))


def _intensity(setup: Setup, sandpaper_m: np.ndarray, object_m: Mapping[str, np.ndarray]) -> np.ndarray:
    """Intensity at the detector at one energy, on the ray grid, relative to the beam."""
    pitch_m, k, wavelength_m = setup.wave_pitch_m, setup.wavenumber_per_m, setup.wavelength_m
    wave = transmitted_wave(sandpaper_m, *setup.diffuser.refractive_index(setup.beam.energy_kev), k)
    if setup.diffuser_distance_m > 0:
        wave = propagate_in_place(wave, pitch_m, setup.diffuser_distance_m, wavelength_m)
    for material, thickness_m in object_m.items():
        pass_through(wave, thickness_m, *refractive_index(material, setup.beam.energy_kev), k)
    wave = propagate_in_place(wave, pitch_m, setup.effective_distance_m, wavelength_m)
    return binned_intensity(wave, setup.waves_per_ray)


def _require_sampling(
    setup: Setup, scene: Mapping[str, Any], sandpaper_m: np.ndarray, object_m: Mapping[str, np.ndarray]
) -> None:
    path = np.float32(setup.diffuser.refractive_index(setup.beam.energy_kev)[0]) * sandpaper_m
    for material, thickness_m in object_m.items():
        path += np.float32(refractive_index(material, setup.beam.energy_kev)[0]) * thickness_m
    share = steep_share(path, 0.5 * setup.wavelength_m)
    if share > MAX_ALIASED:
        pitch_um = 1e6 * setup.wave_pitch_m
        raise ValueError(
            f"geometry {scene['geometry']!r} in {scene['material']} and the sandpaper are too steep in phase "
            f"for the wave grid: {100 * share:.2f} % of neighbouring samples differ by more than π (limit "
            f"{100 * MAX_ALIASED:g} %) at a pitch of {pitch_um:.3g} µm: lower numerics.wave_pitch_um (to "
            f"{0.5 * pitch_um:.2g}?), or use rays"
        )
