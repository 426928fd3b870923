"""Projected thickness of spheres, cylinders and cuboids against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from specksim.grid import Grid
from specksim.phantoms import bodies

GRID = Grid(121, 161, 2e-6)
X, Y = GRID.x_m[None, :], GRID.y_m[:, None]


def sphere(x_um=0.0, y_um=0.0, radius_um=50.0, **more):
    return {"shape": "sphere", "x_um": x_um, "y_um": y_um, "radius_um": radius_um, **more}


def cylinder(angle_deg=0.0, tilt_deg=0.0, x_um=0.0, y_um=0.0, radius_um=30.0, **more):
    angle, tilt = math.radians(angle_deg), math.radians(tilt_deg)
    return {
        "shape": "cylinder", "x_um": x_um, "y_um": y_um, "radius_um": radius_um,
        "angle_rad": angle, "tilt_rad": tilt, **more,
    }  # fmt: skip


def project(*scene_bodies, grid=GRID):
    return bodies.thickness({"material": "nylon", "bodies": list(scene_bodies)}, grid)


@pytest.mark.parametrize(("x_um", "y_um"), [(0.0, 0.0), (31.3, -17.9), (-150.0, 110.0), (200.0, 0.0)])
def test_sphere_has_its_chord_away_from_the_rim(x_um, y_um):
    thickness = project(sphere(x_um, y_um, 50.0))["nylon"]
    distance = np.hypot(X - x_um * 1e-6, Y - y_um * 1e-6)
    chord = 2 * np.sqrt(np.maximum((50e-6) ** 2 - distance**2, 0))
    away = np.abs(distance - 50e-6) > 2.1e-6
    assert np.allclose(thickness[away], chord[away], rtol=1e-6)
    # at the rim the mean over the cell around the point: not above the chord one cell further in
    inwards = 2 * np.sqrt(np.maximum((50e-6) ** 2 - np.maximum(distance - 2e-6, 0) ** 2, 0))
    assert (thickness <= inwards + 1e-12).all()


@given(x_um=st.floats(-50, 50), y_um=st.floats(-50, 50), radius_um=st.floats(5, 60))
def test_sphere_has_its_volume(x_um, y_um, radius_um):
    thickness = project(sphere(x_um, y_um, radius_um))["nylon"]
    volume = thickness.sum(dtype=float) * GRID.pitch_m**2
    assert volume == pytest.approx(4 / 3 * math.pi * (radius_um * 1e-6) ** 3, rel=5e-3)


def test_positive_x_is_to_the_right_and_positive_y_below():
    thickness = project(sphere(x_um=60.0, y_um=40.0, radius_um=10.0))["nylon"]
    row, column = np.unravel_index(np.argmax(thickness), thickness.shape)
    assert (GRID.y_m[row], GRID.x_m[column]) == pytest.approx((40e-6, 60e-6), abs=1e-9)


@given(
    angle_deg=st.floats(0, 180), tilt_deg=st.floats(-60, 60), x_um=st.floats(-40, 40), y_um=st.floats(-40, 40)
)
def test_cylinder_has_its_chord_lengthened_by_its_tilt(angle_deg, tilt_deg, x_um, y_um):
    thickness = project(cylinder(angle_deg, tilt_deg, x_um, y_um))["nylon"]
    angle = math.radians(angle_deg)
    # distance from the axis through (x, y) along (cos, sin): angle 0 along x (columns), 90° along y (rows)
    distance = np.abs((X - x_um * 1e-6) * math.sin(angle) - (Y - y_um * 1e-6) * math.cos(angle))
    chord = 2 * np.sqrt(np.maximum((30e-6) ** 2 - distance**2, 0)) / math.cos(math.radians(tilt_deg))
    away = np.abs(distance - 30e-6) > 3e-6
    assert np.allclose(thickness[away], chord[away], rtol=1e-5, atol=1e-12)
    assert (np.abs(thickness - chord)[~away] < 2e-5 / math.cos(math.radians(tilt_deg))).all()


@pytest.mark.parametrize(("angle_deg", "axis"), [(0.0, 1), (90.0, 0)])
def test_cylinder_lies_along_x_at_0_and_along_y_at_90_degrees(angle_deg, axis):
    thickness = project(cylinder(angle_deg, radius_um=30.3))["nylon"]
    assert np.allclose(np.ptp(thickness, axis=axis), 0, atol=1e-12)
    assert np.ptp(thickness, axis=1 - axis).min() == pytest.approx(60.6e-6, rel=1e-3)
    # cross-section: π R² by the length within the grid
    section = thickness.mean(axis=axis).sum() * GRID.pitch_m
    assert section == pytest.approx(math.pi * (30.3e-6) ** 2, rel=5e-3)


def test_angle_turns_from_x_towards_y():
    thickness = project(cylinder(45.0, radius_um=5.0))["nylon"]
    below_right, above_right = thickness[60 + 30, 80 + 30], thickness[60 - 30, 80 + 30]
    assert below_right == pytest.approx(10e-6, rel=1e-5)
    assert above_right == 0


def test_cuboid_face_on():
    body = {
        "shape": "cuboid",
        "x_um": 21.0,
        "y_um": -11.0,
        "size_um": [60.6, 40.6, 80.0],
        "rotation": [1, 0, 0, 0],
    }
    thickness = project(body)["nylon"]
    inside = (np.abs(X - 21e-6) < 30.2e-6) & (np.abs(Y + 11e-6) < 20.2e-6)
    assert np.allclose(thickness[inside], 80e-6, rtol=1e-6)
    assert (thickness[~((np.abs(X - 21e-6) < 30.4e-6) & (np.abs(Y + 11e-6) < 20.4e-6))] == 0).all()


@given(
    quaternion=st.tuples(*[st.floats(-1, 1).map(lambda w: round(w, 6))] * 4).filter(
        lambda q: np.linalg.norm(q) > 0.1
    )
)
def test_cuboid_against_slabs_in_its_own_frame(quaternion):
    size = np.array([90.3, 60.7, 40.1])
    body = {
        "shape": "cuboid",
        "x_um": 7.0,
        "y_um": -9.0,
        "size_um": size.tolist(),
        "rotation": list(quaternion),
    }
    thickness = project(body)["nylon"]
    # an independent way: rays of the beam cut by three slabs, turned by scipy
    w, x, y, z = quaternion
    inverse = Rotation.from_quat([x, y, z, w]).inv()
    places = np.stack(np.broadcast_arrays(X - 7e-6, Y + 9e-6, 0.0), axis=-1).reshape(-1, 3)
    start, direction = inverse.apply(places), inverse.apply([0.0, 0.0, 1.0])
    with np.errstate(all="ignore"):  # a wall along the beam is never met
        hits = np.sort(((np.array([-1, 1])[:, None, None] * size * 0.5e-6) - start) / direction, axis=0)
    chord = np.maximum(hits[1].min(-1) - hits[0].max(-1), 0).reshape(GRID.shape)
    # walls nearly along the beam: single precision, and a lean of at least 1/1000, move them by nanometres
    leans = np.abs(direction).min() < 0.05
    assert np.mean(~np.isclose(thickness, chord, rtol=1e-5, atol=1e-8)) <= (0.01 if leans else 0)
    assert thickness.sum() * GRID.pitch_m**2 == pytest.approx(np.prod(size) * 1e-18, rel=0.05)


def test_bodies_in_one_beam_add():
    both = project(sphere(), cylinder(30.0))["nylon"]
    assert np.allclose(both, project(sphere())["nylon"] + project(cylinder(30.0))["nylon"], atol=1e-10)


def test_void_takes_the_place_of_its_host():
    host, void = sphere(radius_um=50.0), sphere(x_um=10.0, radius_um=15.0)
    maps = project(host, {**void, "inclusion": True})
    assert set(maps) == {"nylon"}
    expected = project(host)["nylon"] - project(void)["nylon"]
    assert np.allclose(maps["nylon"], expected, atol=1e-10)


def test_inclusion_of_another_material_conserves_the_volume():
    host, grain = sphere(radius_um=50.0), sphere(x_um=10.0, radius_um=15.0)
    maps = project(host, {**grain, "inclusion": True, "material": "al2o3"})
    assert set(maps) == {"nylon", "al2o3"}
    assert np.allclose(maps["al2o3"], project(grain)["nylon"], atol=1e-12)
    assert np.allclose(maps["nylon"] + maps["al2o3"], project(host)["nylon"], atol=1e-10)


def test_bodies_of_their_own_material_add_to_its_map():
    maps = project(sphere(), cylinder(material="al2o3"), sphere(x_um=60.0, material="al2o3"))
    assert set(maps) == {"nylon", "al2o3"}
    assert np.array_equal(maps["nylon"], project(sphere())["nylon"])
    expected = project(cylinder())["nylon"] + project(sphere(x_um=60.0))["nylon"]
    assert np.allclose(maps["al2o3"], expected, atol=1e-10)


def test_thickness_is_never_negative_and_in_single_precision():
    # a void as large as its host leaves nothing but rounding, of either sign before it is cut at zero
    maps = project(sphere(), sphere(inclusion=True))
    assert maps["nylon"].dtype == np.float32
    assert maps["nylon"].min() >= 0
    assert maps["nylon"].max() < 1e-11
    assert (project()["nylon"] == 0).all()


def test_unknown_shape_is_refused():
    with pytest.raises(
        ValueError, match=r"shape must be one of sphere, cylinder, .*cuboid, ellipsoid, got 'torus'"
    ):
        project({"shape": "torus"})


def test_python_kernels_agree_with_the_compiled_ones():
    place, frame = (3e-6, -5e-6), (-2e-5, -3e-5, 2e-6, 0.7)
    for kernel, arguments in (
        (bodies._sphere, (*place, 1.2e-5, *frame)),
        (bodies._cylinder, (*place, 0.6, 0.8, 0.8e-5, *frame)),
    ):
        out = np.zeros((2, 21, 31))
        kernel(out[0], *arguments)
        kernel.py_func(out[1], *arguments)
        assert out[0].max() > 1e-5
        assert np.allclose(*out, atol=1e-15)
    assert bodies._round_chord.py_func(9.0, 5.0) == bodies._round_chord(9.0, 5.0) == 8.0
    assert bodies._round_chord.py_func(26.0, 5.0) == 0.0
