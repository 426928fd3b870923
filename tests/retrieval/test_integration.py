"""The phase from its gradient, against potentials known in closed form."""

import numpy as np
import pytest

import specksim
from specksim.retrieval import integrate_phase
from specksim.retrieval.integration import METHODS, radians_per_pixel
from specksim.setups import Setup

SETUP = Setup()
CONE = Setup.load("lab-2m")


def border_mean(values):
    inner = np.zeros(values.shape, bool)
    inner[1:-1, 1:-1] = True
    return values[~inner].mean()


def cosine_means(shape, waves_y, waves_x):
    """Pixel means of cos(ay y) cos(ax x), zero slope at the frame's border, and of its gradient."""
    height, width = shape
    ay, ax = np.pi * waves_y / height, np.pi * waves_x / width
    y, x = np.arange(height + 1)[:, None], np.arange(width + 1)[None, :]

    def mean_cos(a, edge):
        return np.diff(np.sin(a * edge), axis=np.argmax(edge.shape)) / a if a else np.ones(edge.size - 1)

    cy, cx = mean_cos(ay, y).reshape(-1, 1), mean_cos(ax, x).reshape(1, -1)
    dx = np.diff(np.cos(ax * x), axis=1) * cy
    dy = np.diff(np.cos(ay * y), axis=0) * cx
    return cy * cx, dx, dy


def polynomial_means(shape, power_y, power_x):
    """Pixel means of y^m x^n, coordinates from the frame's centre over its size, and of its gradient."""

    def means(n, power):
        edge = (np.arange(n + 1) - n / 2) / n
        return np.diff(edge ** (power + 1)) / (power + 1) * n, np.diff(edge**power)

    (fy, gy), (fx, gx) = means(shape[0], power_y), means(shape[1], power_x)
    return np.outer(fy, fx), np.outer(fy, gx), np.outer(gy, fx)


@pytest.mark.parametrize("waves", [(0, 1), (1, 0), (2, 3), (5, 4)])
def test_fourier_is_exact_for_cosines_of_the_mirrored_frame(waves):
    potential, dx, dy = cosine_means((40, 52), *waves)
    phase = integrate_phase(dx, dy, SETUP, method="fourier") / radians_per_pixel(SETUP)
    np.testing.assert_allclose(phase, potential - border_mean(potential), atol=1e-10)


@pytest.mark.parametrize("method", ["dct", "least-squares"])
@pytest.mark.parametrize("powers", [(0, 1), (1, 0), (1, 1), (2, 2), (0, 4), (4, 1), (3, 4)])
def test_dct_and_least_squares_are_exact_for_quartics(powers, method):
    potential, dx, dy = polynomial_means((33, 48), *powers)
    phase = integrate_phase(dx, dy, SETUP, method=method) / radians_per_pixel(SETUP)
    np.testing.assert_allclose(phase, potential - border_mean(potential), atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(2, 2), (3, 7), (16, 4)])
def test_small_frames(method, shape):
    phase = integrate_phase(np.zeros(shape), np.zeros(shape), SETUP, method=method)
    np.testing.assert_array_equal(phase, 0.0)


@pytest.mark.parametrize("setup", [SETUP, CONE], ids=["parallel", "cone"])
def test_scale_and_sign_of_a_wedge(setup):
    """dx = d everywhere: the phase rises by k p² d / (M z2) from column to column."""
    shift = 0.3
    pixel_m = setup.detector.pixel_size_um * 1e-6
    step = (
        setup.wavenumber_per_m
        * pixel_m**2
        * shift
        / (setup.magnification * setup.propagation.sample_to_detector_m)
    )
    phase = integrate_phase(np.full((8, 9), shift), np.zeros((8, 9)), setup)
    np.testing.assert_allclose(np.diff(phase, axis=1), step, rtol=1e-9)
    np.testing.assert_allclose(np.diff(phase, axis=0), 0.0, atol=1e-9 * step)
    down = integrate_phase(np.zeros((8, 9)), np.full((8, 9), shift), setup)
    np.testing.assert_allclose(np.diff(down, axis=0), step, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_sphere_from_its_labels(method):
    """Phase of a simulated nylon sphere: within 2 % RMS of its largest value, and negative."""
    setup = SETUP.with_values(
        detector__rows=96, detector__columns=96, detector__photons_per_pixel=float("inf")
    )
    pair = specksim.simulate(setup, material="nylon", geometry="sphere", seed=1, index=0)
    phase = integrate_phase(pair.dx, pair.dy, setup, method=method)
    truth = pair.phase - border_mean(pair.phase)
    error = np.sqrt(np.mean((phase - truth) ** 2))
    assert error < 0.02 * np.abs(pair.phase).max()
    assert np.corrcoef(phase.ravel(), truth.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("bad", [(np.nan, 50.0), (np.nan, np.inf), (7.0, -50.0)])
def test_weights_keep_bad_pixels_out(bad):
    potential, dx, dy = polynomial_means((40, 48), 2, 3)
    weights = np.ones(dx.shape)
    weights[10:20, 15:25] = 0.0
    dx[10:20, 15:25], dy[10:20, 15:25] = bad
    phase = integrate_phase(dx, dy, SETUP, weights=weights) / radians_per_pixel(SETUP)
    np.testing.assert_allclose(
        phase[weights > 0], (potential - border_mean(potential))[weights > 0], atol=1e-3
    )


def test_rim_of_weight_0_still_links_inside_and_outside():
    setup = SETUP.with_values(
        detector__rows=96, detector__columns=96, detector__photons_per_pixel=float("inf")
    )
    pair = specksim.simulate(setup, material="nylon", geometry="sphere", seed=1, index=0)
    assert 0 < pair.valid.mean() < 1
    phase = integrate_phase(pair.dx, pair.dy, setup, weights=pair.valid)
    error = (phase - pair.phase)[pair.valid > 0]
    assert np.std(error) < 0.005 * np.abs(pair.phase).max()


def test_weights_prefer_the_better_of_two_contradictions():
    """Noise in the left half, with little weight, hardly reaches the right half."""
    rng = np.random.default_rng(5)
    potential, dx, dy = polynomial_means((48, 64), 2, 2)
    dx[:, :32] += rng.normal(0.0, 0.02, (48, 32))
    weights = np.where(np.arange(64) < 32, 1e-6, 1.0) * np.ones((48, 1))
    truth = potential[:, 40:] - potential[:, 40:].mean()

    def error(**options):
        phase = integrate_phase(dx, dy, SETUP, **options)[:, 40:] / radians_per_pixel(SETUP)
        return np.abs(phase - phase.mean() - truth).max()

    assert error(weights=weights) < 0.01 * error()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dx": np.zeros((4, 5))}, "one shape"),
        ({"dx": np.zeros(4), "dy": np.zeros(4)}, "one shape"),
        ({"dx": np.full((4, 4), np.nan)}, "dx must be finite where its weight is not 0, got nan at row 0"),
        ({"method": "magic"}, "method must be one of dct, fourier, least-squares, got 'magic'"),
        ({"method": "dct", "weights": np.ones((4, 4))}, "weights need method 'least-squares', got 'dct'"),
        ({"weights": np.ones((4, 5))}, r"weights must have the shape \(4, 4\)"),
        ({"weights": np.zeros((4, 4))}, "not all 0"),
        ({"weights": -np.ones((4, 4))}, ">= 0"),
    ],
)
def test_wrong_arguments(options, message):
    arguments = {"dx": np.zeros((4, 4)), "dy": np.zeros((4, 4)), "setup": SETUP, **options}
    with pytest.raises(ValueError, match=message):
        integrate_phase(**arguments)
