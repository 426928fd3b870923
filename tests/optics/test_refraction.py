"""Displacement, phase and transmission of wedges and spheres against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim import forward
from specksim.materials import refractive_index
from specksim.optics import displacement, phase_shift, refraction, transmitted_intensity

PITCH = 2.5e-6


def corners(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the corners of a grid of cells, m."""
    x, y = np.arange(columns + 1) * PITCH, np.arange(rows + 1) * PITCH
    return x[None, :], y[:, None]


@given(slope_x=st.floats(-1e-5, 1e-5), slope_y=st.floats(-1e-5, 1e-5), z=st.floats(0.1, 10))
def test_wedge_displaces_towards_its_thin_side(slope_x, slope_y, z):
    # d = -z ∇(δT): against the gradient of matter, dx along columns and dy along rows, in cells
    x, y = corners(6, 9)
    dx, dy = displacement(slope_x * x + slope_y * y, z, PITCH)
    assert dx.shape == dy.shape == (6, 9)
    # float32 paths of 3e-10 m at most leave an error of 1e-7 of themselves across a cell
    tolerance = 2e-6 * z * 1e-5 / PITCH * 9
    assert np.allclose(dx, -z * slope_x / PITCH, atol=tolerance)
    assert np.allclose(dy, -z * slope_y / PITCH, atol=tolerance)


def test_displacement_is_the_gradient_of_the_phase():
    # d = (z/k) ∇φ, here for a smooth φ by central differences of the cells' phase
    x, y = corners(40, 40)
    path = 1e-10 * (np.sin(x / 30e-6) * np.cos(y / 40e-6) + 0.3 * np.cos(x / 50e-6))
    k, z = 1.4e11, 2.0
    dx, dy = displacement(path, z, PITCH)
    phase = phase_shift(path, k).astype(float)
    assert np.allclose(dx[:, 1:-1], z / k * np.gradient(phase, PITCH, axis=1)[:, 1:-1] / PITCH, atol=1e-2)
    assert np.allclose(dy[1:-1], z / k * np.gradient(phase, PITCH, axis=0)[1:-1] / PITCH, atol=1e-2)
    assert np.abs(dx).max() > 2


def test_mean_over_a_block_of_cells_is_the_difference_across_it(rng):
    # "exact": nothing but T on the block's border matters (trapezoid along the border)
    path = rng.random((5, 5)).astype(np.float32) * 1e-9
    dx, dy = displacement(path, 3.0, PITCH)
    weights = np.array([0.5, 1, 1, 1, 0.5]) / 4
    assert dx.mean() == pytest.approx(
        -3.0 * (weights @ (path[:, -1] - path[:, 0])) / (4 * PITCH) / PITCH, rel=1e-4
    )
    assert dy.mean() == pytest.approx(-3.0 * (weights @ (path[-1] - path[0])) / (4 * PITCH) / PITCH, rel=1e-4)


def test_python_kernel_agrees_with_the_compiled_one(rng):
    path = rng.random((6, 8)).astype(np.float32)
    d = np.empty((2, 2, 5, 7), np.float32)
    refraction._displacement(path, 0.7, *d[0])
    refraction._displacement.py_func(path, 0.7, *d[1])
    assert np.allclose(*d, atol=1e-6)


@pytest.mark.parametrize("materials", [1, 2, 3])
@pytest.mark.parametrize("python", [False, True])
def test_several_materials_add_up(rng, monkeypatch, materials, python):
    if python:
        monkeypatch.setattr(refraction, "_refract", refraction._refract.py_func)
    thickness = rng.random((materials, 6, 8)).astype(np.float32) * 1e-5
    constants = rng.random((materials, 2)) * (1e-6, 1e-7)
    dx, dy, through = refraction.refract(tuple(thickness), constants, 2.0, PITCH, 1e11)
    bent, lost = (np.tensordot(constants[:, k], thickness.astype(float), 1) for k in (0, 1))
    assert np.allclose((dx, dy), displacement(bent, 2.0, PITCH), atol=1e-4)
    assert np.allclose(through, transmitted_intensity(lost, 1e11), rtol=1e-5)


def test_phase_is_negative_in_matter_and_transmission_below_one():
    path = np.full((3, 4), 2e-10)
    assert np.allclose(phase_shift(path, 1.4e11), -28.0)
    assert np.allclose(transmitted_intensity(path, 1.4e11), math.exp(-2 * 28.0))
    assert phase_shift(path, 1.4e11).shape == transmitted_intensity(path, 1.4e11).shape == (2, 3)


def test_cells_hold_the_mean_of_their_corners():
    path = np.array([[0.0, 1.0], [2.0, 5.0]])
    assert phase_shift(path, 1.0) == pytest.approx(-2.0)


@pytest.mark.parametrize("path", [np.zeros(5), np.zeros((1, 5)), np.zeros((2, 2, 2))])
def test_path_without_cells_is_refused(path):
    for call in (lambda: displacement(path, 1.0, 1.0), lambda: phase_shift(path, 1.0)):
        with pytest.raises(ValueError, match="at least 2 × 2 corners"):
            call()


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bad_distance_or_pitch_is_refused(bad):
    with pytest.raises(ValueError, match="distance_m must be > 0 and finite"):
        displacement(np.zeros((3, 3)), bad, 1.0)
    with pytest.raises(ValueError, match="pitch_m must be > 0 and finite"):
        displacement(np.zeros((3, 3)), 1.0, bad)


def exact_labels(setup, delta, radius_m, x_m, y_m, samples=400):
    """Labels of a sphere by quadrature of -zδ[T(x+p/2) - T(x-p/2)]/p along the pixel's edges, pixels."""
    p = setup.object_pixel_m
    z = setup.effective_distance_m
    fine = ((np.arange(samples) + 0.5) / samples - 0.5) * p

    def chord(x, y):
        return 2 * np.sqrt(np.maximum(radius_m**2 - (x - x_m) ** 2 - (y - y_m) ** 2, 0.0))

    n = setup.detector.rows
    centre = (np.arange(n) - (n - 1) / 2) * p
    edge = (np.arange(n + 1) - n / 2) * p
    along = (centre[:, None] + fine).ravel()  # rows (or columns), finely
    t = chord(edge[None, :], along[:, None]).reshape(n, samples, n + 1).mean(1)
    dx = -z * delta * np.diff(t, axis=1) / p / p
    t = chord(along[None, :], edge[:, None]).reshape(n + 1, n, samples).mean(2)
    dy = -z * delta * np.diff(t, axis=0) / p / p
    return dx, dy


@pytest.mark.parametrize(("x_um", "y_um", "radius_um"), [(13.7, -41.3, 180.0), (-101.1, 55.5, 97.3)])
def test_labels_of_a_sphere(small_setup, small_field, rng, x_um, y_um, radius_um):
    body = {"shape": "sphere", "x_um": x_um, "y_um": y_um, "radius_um": radius_um}
    scene = {"geometry": "sphere", "material": "nylon", "bodies": [body]}
    pair = forward.simulate_pair(small_setup, scene, small_field, rng, rng)
    delta, _ = refractive_index("nylon", 28.0)
    exact = exact_labels(small_setup, delta, radius_um * 1e-6, x_um * 1e-6, y_um * 1e-6)
    n, p = small_setup.detector.rows, small_setup.object_pixel_m
    axis = (np.arange(n) - (n - 1) / 2) * p
    from_centre = np.hypot(axis[None, :] - x_um * 1e-6, axis[:, None] - y_um * 1e-6)
    rim = np.abs(from_centre - radius_um * 1e-6) < p
    trusted = (pair.valid == 1) & ~rim
    for label, truth in zip((pair.dx, pair.dy), exact, strict=True):
        error = np.abs(label - truth)
        assert np.abs(truth).max() > 0.5
        assert error[trusted].max() < 5e-5
        # on the rim itself T falls like a square root within a cell, and is not bilinear between its corners
        assert error[rim].max() < 0.1
        assert np.sqrt(np.mean(error[rim] ** 2)) < 0.03
