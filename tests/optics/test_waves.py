"""Fresnel propagation against Gaussian beams, Talbot's self-images and lenses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim.materials import refractive_index, wavelength_m, wavenumber_per_m
from specksim.optics import fresnel_propagate, transmitted_wave, waves

WAVELENGTH = wavelength_m(28.0)
K = wavenumber_per_m(28.0)
PITCH = 1e-6


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(n) - n // 2) * PITCH
    return axis[None, :], axis[:, None]


def gaussian_beam(n: int, waist_m: float, distance_m: float, x_m: float = 0.0) -> np.ndarray:
    """Gaussian beam of unit amplitude in its waist, exp(ikz) left out, times exp(ikz - iωt)."""
    x, y = grid(n)
    q = 1 + 1j * distance_m * WAVELENGTH / (math.pi * waist_m**2)
    return np.exp(-((x - x_m) ** 2 + y**2) / (waist_m**2 * q)) / q


@pytest.mark.parametrize("distance_m", [0.0, 1.0, 4.0, -3.0])
def test_gaussian_beam(distance_m):
    # amplitude, width, curvature and Gouy phase at once; the waist is off the centre along x only
    start = gaussian_beam(256, 10e-6, 0.0, 20e-6)
    wave = fresnel_propagate(start, PITCH, distance_m, WAVELENGTH)
    assert np.abs(wave - gaussian_beam(256, 10e-6, distance_m, 20e-6)).max() < 1e-9


def test_gaussian_beam_widens_by_the_rayleigh_range():
    rayleigh = math.pi * (8e-6) ** 2 / WAVELENGTH
    intensity = np.abs(fresnel_propagate(gaussian_beam(256, 8e-6, 0.0), PITCH, rayleigh, WAVELENGTH)) ** 2
    x, _ = grid(256)
    assert intensity.max() == pytest.approx(0.5, rel=1e-6)
    # the variance of the intensity in the waist is w²/4 along an axis, twice that after one Rayleigh range
    assert (intensity * x**2).sum() / intensity.sum() == pytest.approx((8e-6) ** 2 / 2, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_grating_images_itself_at_the_talbot_distance(axis):
    period = 16e-6
    talbot = 2 * period**2 / WAVELENGTH
    grating = np.broadcast_to((np.arange(64) % 16 < 4) + 0.0, (64, 64))
    grating = grating.T if axis == 0 else grating
    assert np.allclose(fresnel_propagate(grating, PITCH, talbot, WAVELENGTH), grating, atol=1e-9)
    # half-way its image is shifted by half a period
    half = fresnel_propagate(grating, PITCH, talbot / 2, WAVELENGTH)
    assert np.allclose(np.abs(half), np.roll(grating, 8, axis=axis), atol=1e-9)


@pytest.mark.parametrize(("sign", "focus"), [(1, 1.0), (-1, -1.0)])
def test_parabola_of_matter_focuses(sign, focus):
    # T = a r² with a > 0 has φ = -kδ a r², a lens of focal length 1/(2δa): matter outside focuses, as δ > 0
    f, waist = 10.0, 25e-6
    delta, _ = refractive_index("nylon", 28.0)
    x, y = grid(256)
    lens = transmitted_wave(sign / (2 * delta * f) * (x**2 + y**2), delta, 0.0, K)
    wave = np.exp(-(x**2 + y**2) / waist**2) * lens
    rayleigh = math.pi * waist**2 / WAVELENGTH
    for z in (0.5 * f, f, 1.5 * f):
        on_axis = np.abs(fresnel_propagate(wave, PITCH, z, WAVELENGTH)[128, 128]) ** 2
        assert on_axis == pytest.approx(1 / ((1 - z / (focus * f)) ** 2 + (z / rayleigh) ** 2), rel=2e-3)


def test_focus_is_where_the_lens_maker_says():
    f, waist = 10.0, 40e-6
    delta, _ = refractive_index("nylon", 28.0)
    x, y = grid(256)
    wave = np.exp(-(x**2 + y**2) / waist**2) * transmitted_wave(
        (x**2 + y**2) / (2 * delta * f), delta, 0.0, K
    )
    distances = np.linspace(0.8, 1.2, 41) * f
    on_axis = [np.abs(fresnel_propagate(wave, PITCH, z, WAVELENGTH)[128, 128]) ** 2 for z in distances]
    assert distances[np.argmax(on_axis)] == pytest.approx(f, rel=0.011)  # one step of the scan


def test_wedge_deflects_towards_its_edge():
    # T rising along x: d = -zδ ∂T/∂x < 0, the sign of the labels
    delta, _ = refractive_index("nylon", 28.0)
    x, _ = grid(256)
    slope, z = 15.0, 4.0
    wave = gaussian_beam(256, 20e-6, 0.0) * transmitted_wave(
        np.broadcast_to(slope * x, (256, 256)), delta, 0.0, K
    )
    intensity = np.abs(fresnel_propagate(wave, PITCH, z, WAVELENGTH)) ** 2
    assert (intensity * x).sum() / intensity.sum() == pytest.approx(-z * delta * slope, rel=1e-3)


@given(seed=st.integers(0, 2**32), distance=st.floats(-10, 10))
def test_energy_is_conserved_and_the_way_back_is_the_inverse(seed, distance):
    rng = np.random.default_rng(seed)
    wave = rng.standard_normal((18, 20)) + 1j * rng.standard_normal((18, 20))
    there = fresnel_propagate(wave, PITCH, distance, WAVELENGTH)
    assert np.linalg.norm(there) == pytest.approx(np.linalg.norm(wave), rel=1e-12)
    assert np.allclose(fresnel_propagate(there, PITCH, -distance, WAVELENGTH), wave, atol=1e-12)


def test_distances_add(rng):
    wave = rng.standard_normal((16, 24)) + 0j
    twice = fresnel_propagate(fresnel_propagate(wave, PITCH, 0.7, WAVELENGTH), PITCH, 1.1, WAVELENGTH)
    assert np.allclose(twice, fresnel_propagate(wave, PITCH, 1.8, WAVELENGTH), atol=1e-12)


@pytest.mark.parametrize(
    ("given_dtype", "dtype", "tolerance"),
    [
        (np.complex64, np.complex64, 1e-6),
        (np.float32, np.complex64, 1e-6),
        (np.complex128, np.complex128, 1e-12),
        (np.float64, np.complex128, 1e-12),
    ],
)
def test_precision_follows_the_field(rng, given_dtype, dtype, tolerance):
    field = rng.random((32, 32)).astype(given_dtype)
    kept = field.copy()
    wave = fresnel_propagate(field, PITCH, 2.0, WAVELENGTH)
    exact = fresnel_propagate(field.astype(np.complex128), PITCH, 2.0, WAVELENGTH)
    assert wave.dtype == dtype
    assert np.array_equal(field, kept)
    assert np.abs(wave - exact).max() < tolerance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(4), 1e-6, 1.0, 1e-10), "field must be 2-D"),
        ((np.ones((4, 4)), 0.0, 1.0, 1e-10), "pixel_size_m must be > 0 and finite, got 0"),
        ((np.ones((4, 4)), np.nan, 1.0, 1e-10), "pixel_size_m must be > 0 and finite, got nan"),
        ((np.ones((4, 4)), 1e-6, 1.0, -1e-10), "wavelength_m must be > 0"),
        ((np.ones((4, 4)), 1e-6, 1.0, np.inf), "wavelength_m must be > 0 and finite, got inf"),
        ((np.ones((4, 4)), 1e-6, np.inf, 1e-10), "distance_m must be finite, got inf"),
        ((np.ones((4, 4)), 1e-6, np.nan, 1e-10), "distance_m must be finite, got nan"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fresnel_propagate(*arguments)


def test_transmitted_wave_has_the_phase_and_the_absorption_of_matter():
    # φ = -kδT, negative in matter; intensity exp(-2kβT)
    delta, beta = refractive_index("SiC", 28.0)
    thickness = np.array([[0.0, 10e-6, 100e-6, 500e-6]])
    wave = transmitted_wave(thickness, delta, beta, K)
    assert wave.dtype == np.complex64
    assert np.allclose(wave, np.exp(-1j * K * delta * thickness - K * beta * thickness), atol=2e-5)
    assert np.allclose(np.abs(wave) ** 2, np.exp(-2 * K * beta * thickness), rtol=1e-5)
    assert np.angle(wave[0, 1]) == pytest.approx(-K * delta * 10e-6, rel=1e-4)


def test_transmitted_wave_of_a_line_is_refused():
    with pytest.raises(ValueError, match="thickness_m must be 2-D"):
        transmitted_wave(np.zeros(4), 1e-7, 1e-10, K)


def test_python_kernels_agree_with_the_compiled_ones(rng):
    waves_of = rng.standard_normal((2, 6, 12)) + 1j * rng.standard_normal((2, 6, 12))
    wave = np.repeat(waves_of[:1], 2, axis=0).astype(np.complex64)
    thickness = rng.random((6, 12)).astype(np.float32)
    rows, columns = np.exp(1j * np.arange(6)).astype(np.complex64), waves_of[1, 0].astype(np.complex64)
    expected = wave[0] * np.exp((-0.5 + 8j) * thickness) * rows[:, None] * columns
    for k, (through, times) in enumerate(
        ((waves._pass_through, waves._filter), (waves._pass_through.py_func, waves._filter.py_func))
    ):
        through(wave[k].view(np.float32), thickness, 8.0, -0.5)
        times(wave[k], rows, columns)
        assert np.allclose(wave[k], expected, atol=1e-5)


@pytest.mark.parametrize(
    "wave", [np.ones((4, 4)), np.ones((4, 3), np.complex64), np.ones((4, 8), np.complex64)[:, ::2]]
)
def test_a_wave_that_does_not_fit_the_object_is_refused(wave):
    with pytest.raises(ValueError, match=r"wave must be contiguous complex64 of shape \(4, 4\)"):
        waves.pass_through(wave, np.zeros((4, 4)), 1e-7, 1e-10, K)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_binned_intensity_is_the_mean_over_blocks(rng, factor):
    wave = (rng.standard_normal((6, 12)) + 1j * rng.standard_normal((6, 12))).astype(np.complex64)
    expected = (np.abs(wave) ** 2).reshape(6 // factor, factor, 12 // factor, factor).mean((1, 3))
    assert np.allclose(waves.binned_intensity(wave, factor), expected, rtol=1e-5)
    out = np.empty(expected.shape, np.float32)
    waves._binned_intensity.py_func(wave, factor, out)
    assert np.allclose(out, expected, rtol=1e-5)


def test_binning_by_a_factor_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"factor must divide the wave's shape \(6, 12\), got 5"):
        waves.binned_intensity(np.zeros((6, 12), np.complex64), 5)
