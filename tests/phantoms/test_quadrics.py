"""Ellipsoids and cones against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from specksim.grid import Grid
from specksim.phantoms import bodies, quadrics

GRID = Grid(121, 161, 2e-6)
X, Y = GRID.x_m[None, :], GRID.y_m[:, None]
UPRIGHT = [1.0, 0.0, 0.0, 0.0]


def ellipsoid(semi_axes_um, rotation=UPRIGHT, x_um=0.0, y_um=0.0):
    return {
        "shape": "ellipsoid", "x_um": x_um, "y_um": y_um,
        "semi_axes_um": list(semi_axes_um), "rotation": list(rotation),
    }  # fmt: skip


def cone(radius_um=50.0, height_um=80.0, angle_deg=0.0, tilt_deg=90.0, x_um=0.0, y_um=0.0):
    return {
        "shape": "cone", "x_um": x_um, "y_um": y_um, "radius_um": radius_um, "height_um": height_um,
        "angle_rad": math.radians(angle_deg), "tilt_rad": math.radians(tilt_deg),
    }  # fmt: skip


def project(*scene_bodies):
    return bodies.thickness({"material": "nylon", "bodies": list(scene_bodies)}, GRID)["nylon"]


def volume(thickness):
    return thickness.sum(dtype=float) * GRID.pitch_m**2


def test_ellipsoid_along_the_axes_has_its_chord():
    thickness = project(ellipsoid((60.3, 30.7, 45.0), x_um=11.0, y_um=-7.0))
    inside = 1 - ((X - 11e-6) / 60.3e-6) ** 2 - ((Y + 7e-6) / 30.7e-6) ** 2
    chord = 2 * 45e-6 * np.sqrt(np.maximum(inside, 0))
    away = np.abs(inside) > 0.15
    assert np.allclose(thickness[away], chord[away], rtol=1e-6, atol=1e-12)


@given(
    semi_axes_um=st.tuples(*[st.floats(15, 60)] * 3),
    quaternion=st.tuples(*[st.floats(-1, 1).map(lambda w: round(w, 3))] * 4).filter(
        lambda q: np.linalg.norm(q) > 0.1
    ),
)
def test_ellipsoid_is_a_stretched_sphere_in_any_orientation(semi_axes_um, quaternion):
    thickness = project(ellipsoid(semi_axes_um, quaternion))
    # an independent way: the beam in the frame in which the ellipsoid is a unit sphere
    w, x, y, z = quaternion
    inverse = Rotation.from_quat([x, y, z, w]).inv()
    places = np.stack(np.broadcast_arrays(X, Y, 0.0), axis=-1).reshape(-1, 3)
    scale = 1e6 / np.array(semi_axes_um)
    start, beam = inverse.apply(places) * scale, inverse.apply([0.0, 0.0, 1.0]) * scale
    b, c = start @ beam, (start**2).sum(axis=-1) - 1
    chord = 2 * np.sqrt(np.maximum(b**2 - (beam @ beam) * c, 0)) / (beam @ beam)
    chord = chord.reshape(GRID.shape)
    away = np.abs(b**2 / (beam @ beam) - c).reshape(GRID.shape) > 0.3
    assert np.allclose(thickness[away], chord[away], rtol=1e-5, atol=1e-11)
    expected = 4 / 3 * math.pi * np.prod(semi_axes_um) * 1e-18
    assert volume(thickness) == pytest.approx(expected, rel=0.01)


def test_ellipsoid_with_equal_axes_is_the_sphere():
    body = {"shape": "sphere", "x_um": 3.0, "y_um": -5.0, "radius_um": 40.0}
    round_one = project(ellipsoid((40.0, 40.0, 40.0), [0.3, 0.4, -0.2, 0.7], 3.0, -5.0))
    sphere = project(body)
    # they decide by different rules which cells hold the rim
    assert np.abs(round_one - sphere).max() < 1e-6
    inner = np.hypot(X - 3e-6, Y + 5e-6) < 37e-6
    assert np.allclose(round_one[inner], sphere[inner], rtol=1e-5)


@pytest.mark.parametrize("tilt_deg", [90.0, -90.0])
def test_slope_of_a_cone_along_the_beam_is_its_height_over_its_radius(tilt_deg):
    thickness = project(cone(tilt_deg=tilt_deg, x_um=4.0, y_um=6.0)).astype(float)
    distance = np.hypot(X - 4e-6, Y - 6e-6)
    assert np.allclose(
        thickness[distance < 47e-6], 80e-6 * (1 - distance / 50e-6)[distance < 47e-6], rtol=1e-4
    )
    slope_y, slope_x = np.gradient(thickness, GRID.pitch_m)
    ring = (distance > 10e-6) & (distance < 45e-6)
    outwards = (slope_x * (X - 4e-6) + slope_y * (Y - 6e-6)) / np.maximum(distance, 1e-9)
    assert outwards[ring] == pytest.approx(-80 / 50, rel=0.01)


def test_a_lying_cone_is_a_triangle_with_its_apex_where_the_angle_points():
    # seen from the side, at w from the apex the section is a circle of radius R w / H
    thickness = project(cone(tilt_deg=0.0, angle_deg=0.0))
    w = 40e-6 - X
    radius = np.where((w > 0) & (w < 80e-6), 50 / 80 * w, 0)
    chord = 2 * np.sqrt(np.maximum(radius**2 - Y**2, 0))
    away = (np.abs(np.abs(Y) - radius) > 4e-6) & (np.abs(X + 40e-6) > 3e-6)
    assert np.allclose(thickness[away], chord[away], rtol=1e-5, atol=1e-11)
    down = project(cone(tilt_deg=0.0, angle_deg=90.0))
    row = GRID.rows // 2
    assert down[row - 15].sum() > 2 * down[row + 15].sum()  # the apex is below: positive y


@given(
    radius_um=st.floats(20, 50), height_um=st.floats(20, 90), angle_deg=st.floats(0, 360),
    tilt_deg=st.floats(-90, 90),
)  # fmt: skip
def test_cone_has_its_volume_in_any_orientation(radius_um, height_um, angle_deg, tilt_deg):
    thickness = project(cone(radius_um, height_um, angle_deg, tilt_deg))
    expected = math.pi / 3 * radius_um**2 * height_um * 1e-18
    assert volume(thickness) == pytest.approx(expected, rel=0.015)


@given(angle_deg=st.floats(0, 360), tilt_deg=st.floats(0, 90))
def test_cone_against_marching_through_it(angle_deg, tilt_deg):
    body = cone(40.0, 60.0, angle_deg, tilt_deg)
    thickness = project(body)
    angle, tilt = body["angle_rad"], body["tilt_rad"]
    axis = [math.cos(tilt) * math.cos(angle), math.cos(tilt) * math.sin(angle), math.sin(tilt)]
    z = np.linspace(-80e-6, 80e-6, 1601)
    for row, column in ((60, 80), (50, 90), (68, 71), (40, 80), (75, 60)):
        x, y = GRID.x_m[column], GRID.y_m[row]
        along = axis[0] * x + axis[1] * y + axis[2] * z
        across = np.sqrt(np.maximum(x * x + y * y + z * z - along**2, 0))
        inside = (np.abs(along) <= 30e-6) & (across <= 40 / 60 * (30e-6 - along))
        assert thickness[row, column] == pytest.approx(inside.sum() * (z[1] - z[0]), abs=1.2e-6)


@pytest.mark.parametrize(
    "body", [ellipsoid((9.0, 5.0, 7.0), [0.9, 0.1, 0.3, 0.2]), cone(9.0, 12.0, 30.0, 20.0)]
)
def test_python_kernel_agrees_with_the_compiled_one(body, monkeypatch):
    grid = Grid(14, 17, 2e-6)
    solid = getattr(quadrics, body["shape"])(body)
    out = np.zeros((2, *grid.shape))
    quadrics.add_quadric(out[0], solid, 3e-6, -4e-6, grid, 1.0)
    for name in ("_quadric", "_chord", "_clipped"):
        monkeypatch.setattr(quadrics, name, getattr(quadrics, name).py_func)
    quadrics.add_quadric(out[1], solid, 3e-6, -4e-6, grid, 1.0)
    assert out[0].max() > 5e-6
    assert np.allclose(*out, atol=1e-15)
