"""Projected thickness of closed meshes, against bodies of known thickness."""

import math

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from specksim.convex import rotation_matrices
from specksim.grid import Grid
from specksim.phantoms import bodies, meshes

GRID = Grid(121, 161, 2e-6)
X, Y = GRID.x_m[None, :], GRID.y_m[:, None]


def triangles(mesh):
    return np.asarray(mesh.triangles, float)


def box(*size_um):
    return triangles(trimesh.creation.box(1e-6 * np.array(size_um)))


def ball(radius_um, subdivisions=4):
    return triangles(trimesh.creation.icosphere(subdivisions, 1e-6 * radius_um))


def moved(corners, x_um=0.0, y_um=0.0, z_um=0.0):
    return corners + 1e-6 * np.array([x_um, y_um, z_um])


quaternions = st.tuples(*[st.floats(-1, 1).map(lambda w: round(w, 3))] * 4).filter(
    lambda q: np.linalg.norm(q) > 0.1
)


def test_a_ball_has_the_chords_of_a_sphere():
    thickness = meshes.projected_thickness(ball(80.0), GRID)
    chord = 2 * np.sqrt(np.maximum((80e-6) ** 2 - X**2 - Y**2, 0))
    inner = np.hypot(X, Y) < 70e-6
    assert thickness[inner] == pytest.approx(chord[inner], abs=5e-7)  # it is made of 5120 flat faces
    assert (thickness[np.hypot(X, Y) > 80e-6] == 0).all()


@given(quaternion=quaternions)
def test_a_box_is_the_cuboid_in_any_orientation(quaternion):
    size = [90.3, 60.7, 40.1]
    body = {"shape": "cuboid", "x_um": 0.0, "y_um": 0.0, "size_um": size, "rotation": list(quaternion)}
    cuboid = bodies.thickness({"material": "nylon", "bodies": [body]}, GRID)["nylon"]
    turned = box(*size) @ rotation_matrices(np.array(quaternion)).T
    thickness = meshes.projected_thickness(turned, GRID)
    # walls nearly along the beam end half a nanometre elsewhere; there a point may be in or out
    assert np.mean(~np.isclose(thickness, cuboid, rtol=1e-4, atol=2e-8)) < 0.01


@given(quaternion=quaternions, shift=st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_no_beam_slips_through_an_edge_or_a_corner(quaternion, shift):
    # corners on the grid's own points, edges through them: the hardest case. A beam that is counted once too
    # often, or not at all, would leave a hole or a spike as deep as the mesh is long.
    whole = np.round(quaternion) if any(np.round(quaternion)) else np.array([1.0, 0.0, 0.0, 0.0])
    turned = moved(box(40.0, 40.0, 40.0) @ rotation_matrices(whole).T, *(2.0 * round(n) for n in shift), 1e3)
    thickness = meshes.projected_thickness(turned, GRID)
    assert thickness.max() <= 40e-6 * math.sqrt(3) * 1.001
    neighbours = np.stack([np.roll(thickness, n, axis) for n in (-1, 1) for axis in (0, 1)])
    assert (thickness >= neighbours.min(axis=0) - 1e-9).all()  # no hole


def test_positive_x_is_to_the_right_and_positive_y_below():
    thickness = meshes.projected_thickness(moved(ball(10.0), 60.0, 40.0), GRID)
    row, column = np.unravel_index(np.argmax(thickness), thickness.shape)
    assert (GRID.y_m[row], GRID.x_m[column]) == pytest.approx((40e-6, 60e-6), abs=2e-6)


def test_a_hollow_ball_is_its_outer_less_its_inner_one():
    hollow = np.concatenate([ball(80.0), ball(40.0)[:, ::-1]])
    expected = meshes.projected_thickness(ball(80.0), GRID) - meshes.projected_thickness(ball(40.0), GRID)
    assert meshes.projected_thickness(hollow, GRID) == pytest.approx(expected, abs=1e-10)
    assert meshes.overlap_m(hollow) == 0


@given(quaternion=quaternions)
def test_a_sound_mesh_overlaps_nowhere(quaternion):
    bracket = trimesh.creation.annulus(0.2, 0.5, 0.3)
    turned = triangles(bracket) @ rotation_matrices(np.array(quaternion)).T
    assert meshes.overlap_m(turned) < 1e-9


@pytest.mark.parametrize(
    ("second", "overlap_um"),
    [
        (moved(box(40.0, 40.0, 40.0), 20.0, 5.0), 40.0),
        (ball(10.0), 20.0),  # within, but not turned inside out
        (moved(box(5.0, 5.0, 5.0)[:, ::-1], z_um=60.0), 5.0),  # a void in nothing
    ],
)
def test_overlapping_parts_are_found(second, overlap_um):
    assert meshes.overlap_m(np.concatenate([box(40.0, 40.0, 40.0), second])) == pytest.approx(
        overlap_um * 1e-6, rel=0.02
    )


def test_parts_that_touch_do_not_overlap():
    both = np.concatenate([box(40.0, 40.0, 40.0), moved(box(40.0, 40.0, 40.0), 40.0)])
    assert meshes.overlap_m(both) < 1e-12


def test_a_mesh_as_large_as_a_house_is_refused():
    with pytest.raises(ValueError, match="too large for the frame; is its unit right"):
        meshes.projected_thickness(ball(10e6, 1), GRID)


def test_python_kernel_agrees_with_the_compiled_one(monkeypatch):
    grid = Grid(12, 14, 2e-6)
    shape = moved(ball(10.0, 1), 1.0, -2.0)
    compiled = meshes.projected_thickness(shape, grid)
    monkeypatch.setattr(meshes, "_CHECK_RAYS", 8)
    coarse = meshes.overlap_m(np.concatenate([shape, shape + 3e-6]))
    for name in ("_cross", "_beyond"):
        monkeypatch.setattr(meshes, name, getattr(meshes, name).py_func)
    assert compiled.max() > 15e-6
    assert meshes.projected_thickness(shape, grid) == pytest.approx(compiled, abs=1e-12)
    assert meshes.overlap_m(np.concatenate([shape, shape + 3e-6])) == pytest.approx(coarse, rel=1e-9)
    assert coarse > 1e-5
