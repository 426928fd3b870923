"""Capsules against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim.grid import Grid
from specksim.phantoms import bodies, capsules

GRID = Grid(121, 161, 2e-6)
X, Y = GRID.x_m[None, :], GRID.y_m[:, None]


def capsule(length_um=80.0, radius_um=20.0, angle_deg=0.0, tilt_deg=0.0, x_um=0.0, y_um=0.0):
    return {
        "shape": "capsule", "x_um": x_um, "y_um": y_um, "radius_um": radius_um, "length_um": length_um,
        "angle_rad": math.radians(angle_deg), "tilt_rad": math.radians(tilt_deg),
    }  # fmt: skip


def project(body, grid=GRID):
    return bodies.thickness({"material": "nylon", "bodies": [body]}, grid)["nylon"]


def test_a_lying_capsule_has_its_chord():
    thickness = project(capsule(x_um=10.0, y_um=-6.0))
    beyond = np.maximum(np.abs(X - 10e-6) - 40e-6, 0)
    squared = beyond**2 + (Y + 6e-6) ** 2
    chord = 2 * np.sqrt(np.maximum((20e-6) ** 2 - squared, 0))
    away = np.abs(np.sqrt(squared) - 20e-6) > 2.1e-6
    assert np.allclose(thickness[away], chord[away], rtol=1e-5, atol=1e-12)


def test_a_capsule_along_the_beam_is_a_sphere_and_its_length():
    thickness = project(capsule(tilt_deg=90.0))
    distance = np.hypot(X, Y)
    inner = distance < 17e-6
    expected = 80e-6 + 2 * np.sqrt(np.maximum((20e-6) ** 2 - distance**2, 0))
    assert np.allclose(thickness[inner], expected[inner], rtol=1e-5)
    assert (thickness[distance > 24e-6] == 0).all()


def test_a_capsule_without_length_is_a_sphere():
    sphere = project({"shape": "sphere", "x_um": 3.0, "y_um": 4.0, "radius_um": 20.0})
    assert np.allclose(project(capsule(0.0, tilt_deg=37.0, x_um=3.0, y_um=4.0)), sphere, atol=1e-11)


def test_angle_turns_from_x_towards_y():
    thickness = project(capsule(angle_deg=45.0, radius_um=5.0))
    assert thickness[60 + 12, 80 + 12] == pytest.approx(10e-6, rel=1e-5)
    assert thickness[60 - 12, 80 + 12] == 0


@given(
    length_um=st.floats(0, 120), radius_um=st.floats(8, 30), angle_deg=st.floats(-180, 180),
    tilt_deg=st.floats(-90, 90),
)  # fmt: skip
def test_capsule_has_its_volume_in_any_orientation(length_um, radius_um, angle_deg, tilt_deg):
    thickness = project(capsule(length_um, radius_um, angle_deg, tilt_deg))
    volume = math.pi * radius_um**2 * (length_um + 4 / 3 * radius_um) * 1e-18
    # a long capsule along the beam ends at a wall: there the mean over a cell is coarse
    assert thickness.sum(dtype=float) * GRID.pitch_m**2 == pytest.approx(volume, rel=0.02)


@pytest.mark.parametrize("tilt_deg", [0.0, 35.0, -35.0, 60.0, 90.0])
def test_capsule_against_marching_through_it(tilt_deg):
    body = capsule(angle_deg=30.0, tilt_deg=tilt_deg)
    thickness = project(body)
    angle, tilt = math.radians(30), math.radians(tilt_deg)
    axis = [math.cos(tilt) * math.cos(angle), math.cos(tilt) * math.sin(angle), math.sin(tilt)]
    z = np.linspace(-80e-6, 80e-6, 1601)
    for row, column in ((60, 80), (65, 88), (70, 95), (55, 80), (60, 92), (71, 71)):
        x, y = GRID.x_m[column], GRID.y_m[row]
        along = np.clip(axis[0] * x + axis[1] * y + axis[2] * z, -40e-6, 40e-6)
        away = (x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (z - along * axis[2]) ** 2
        chord = (away <= (20e-6) ** 2).sum() * (z[1] - z[0])
        assert thickness[row, column] == pytest.approx(chord, abs=1.5e-6)


def test_parts_out_of_the_grid_are_cut_off():
    # a long rod through a corner of the frame: the same as on a larger grid
    body = capsule(400.0, 15.0, 37.0, 20.0, x_um=-140.0, y_um=100.0)
    larger = project(body, Grid(221, 261, 2e-6))[50:-50, 50:-50]
    assert larger.max() > 0
    assert np.allclose(project(body), larger, atol=1e-11)


@pytest.mark.parametrize("tilt_deg", [0.0, 40.0])
def test_python_kernel_agrees_with_the_compiled_one(tilt_deg, monkeypatch):
    grid = Grid(14, 17, 2e-6)
    out = np.zeros((2, *grid.shape))
    body = capsule(10.0, 5.0, 60.0, tilt_deg, 2.0, -3.0)
    capsules.add_capsule(out[0], body, grid, 1.0)
    for name in ("_capsule", "_capsule_chord"):
        monkeypatch.setattr(capsules, name, getattr(capsules, name).py_func)
    capsules.add_capsule(out[1], body, grid, 1.0)
    assert out[0].max() > 5e-6
    assert np.allclose(*out, atol=1e-15)
