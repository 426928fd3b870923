"""Projected thickness of convex polyhedra against closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim import convex
from specksim.convex import add_convex, chords, rotation_matrices, upper_and_lower

CUBE = np.concatenate([np.eye(3), -np.eye(3)])  # half-spaces |x|, |y|, |z| <= d
OCTAHEDRON = np.array(list(itertools.product((1.0, -1.0), repeat=3)))  # |x| + |y| + |z| <= d
# a regular tetrahedron: faces opposite to the corners (1,1,1), (1,-1,-1), (-1,1,-1), (-1,-1,1)
TETRAHEDRON = -np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])

QUATERNIONS = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1).map(np.array)


def about_z(angle: float) -> np.ndarray:
    return rotation_matrices(np.array([math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)]))


def about_x(angle: float) -> np.ndarray:
    return rotation_matrices(np.array([math.cos(angle / 2), math.sin(angle / 2), 0.0, 0.0]))


def polyhedron(normals, offsets) -> np.ndarray:
    """Planes of one polyhedron, all at the same distance."""
    return upper_and_lower(np.asarray(normals)[None], np.full((1, len(normals)), float(offsets)))[0]


def padding_off(planes):
    """Upper and lower planes without the places that no face takes."""
    return [side[np.isfinite(side[:, 0])] for side in planes]


def project(normals, offsets, n=161, pitch=0.02, y=0.0, x=0.0, weight=1.0, periodic=False, add=add_convex):
    """Thickness map, with x and y of its points; the middle of the map is the origin."""
    planes = polyhedron(normals, offsets)
    axis = (np.arange(n) - n // 2) * pitch
    out = np.zeros((n, n))
    add(out, planes, y, x, axis[0], axis[0], pitch, weight, periodic)
    return out, axis[None, :], axis[:, None]


def test_cube_face_on():
    # the edges lie between two points; the steepest wall leans by 1/1000
    thickness, x, y = project(CUBE, 0.51)
    inside = (abs(x) < 0.505) & (abs(y) < 0.505)
    assert np.allclose(thickness[inside], 1.02, rtol=1e-6)
    assert (thickness[(abs(x) > 0.515) | (abs(y) > 0.515)] == 0).all()


def test_cube_turned_about_the_beam_has_its_outline_turned():
    angle = math.radians(25)
    thickness, x, y = project(CUBE @ about_z(angle).T, 0.51)
    # x towards y: the cube's own axes are (cos, sin) and (-sin, cos)
    u, v = math.cos(angle) * x + math.sin(angle) * y, -math.sin(angle) * x + math.cos(angle) * y
    assert np.allclose(thickness[np.maximum(abs(u), abs(v)) < 0.505], 1.02, rtol=1e-6)
    assert (thickness[np.maximum(abs(u), abs(v)) > 0.515] == 0).all()


def test_cube_edge_on_is_a_roof():
    # turned by 45° about x the chord falls from the diagonal 2√2 d at y = 0 to 0 at y = √2 d
    thickness, x, y = project(CUBE @ about_x(math.pi / 4).T, 0.51)
    roof = np.maximum(2 * (math.sqrt(2) * 0.51 - abs(y)), 0.0) * (abs(x) < 0.51)
    assert np.allclose(thickness, roof, atol=1e-6)


def test_octahedron():
    thickness, x, y = project(OCTAHEDRON, 1.0)
    assert np.allclose(thickness, np.maximum(2 * (1 - abs(x) - abs(y)), 0.0), atol=1e-6)


def test_tetrahedron():
    # two upper faces, z <= 1 - |x - y|, and two lower ones, z >= |x + y| - 1
    thickness, x, y = project(TETRAHEDRON, 1.0)
    expected = np.maximum(2 - abs(x - y) - abs(x + y), 0.0)
    assert np.allclose(thickness, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("normals", "offset", "volume"),
    [(CUBE, 0.5, 1.0), (OCTAHEDRON, 1.0, 4 / 3), (TETRAHEDRON, 1.0, 8 / 3)],
    ids=["cube", "octahedron", "tetrahedron"],
)
@given(quaternion=QUATERNIONS)
def test_volume_is_the_same_from_all_sides(normals, offset, volume, quaternion):
    thickness, _, _ = project(normals @ rotation_matrices(quaternion).T, offset, n=201)
    # a wall along the beam leaves an error of half a cell around the outline, of the thickness there
    assert thickness.sum() * 0.02**2 == pytest.approx(volume, rel=0.03)


@given(quaternion=QUATERNIONS, x=st.floats(-1, 1), y=st.floats(-1, 1))
def test_every_point_agrees_with_the_planes(quaternion, x, y):
    planes = polyhedron(OCTAHEDRON @ rotation_matrices(quaternion).T, 1.0)
    axis = np.arange(-1.6, 1.6, 0.1)
    out = np.zeros((len(axis), len(axis)))
    add_convex(out, planes, y, x, axis[0], axis[0], 0.1, 1.0, False)
    u, v = axis[None, :, None] - x, axis[:, None, None] - y
    height, depth = ((side[:, 0] + side[:, 1] * u + side[:, 2] * v).min(-1) for side in padding_off(planes))
    # single precision, against planes of a slope of up to 1000
    assert np.allclose(out, np.maximum(height + depth, 0), atol=2e-4)
    flat = np.abs(planes[..., 1:]).max() < 20
    assert not flat or np.allclose(out, np.maximum(height + depth, 0), atol=1e-5)


@given(quaternion=QUATERNIONS)
def test_rotations_are_orthogonal_and_right_handed(quaternion):
    turn = rotation_matrices(quaternion)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    assert np.allclose(rotation_matrices(3 * quaternion), turn)


def test_rotation_turns_x_towards_y_about_z():
    assert np.allclose(about_z(math.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


def test_planes_along_the_beam_are_steep_but_finite():
    normals = np.array([[[1.0, 0.0, 0.0], [-2.0, 0.0, -0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    upper, lower = padding_off(upper_and_lower(normals, np.ones((1, 4)))[0])
    assert len(upper) + len(lower) == 4
    slopes = np.abs(np.concatenate([upper, lower])[:, 1])
    assert sorted(slopes) == pytest.approx([0.0, 0.0, 1000.0, 1000.0])


def test_planes_hold_height_above_and_depth_below():
    # z <= 3 + x / 2 and z >= -2 + y
    normals = np.array([[[-0.5, 0.0, 1.0], [0.0, 1.0, -1.0]]])
    upper, lower = padding_off(upper_and_lower(normals, np.array([[3.0, 2.0]]))[0])
    assert np.allclose(upper, [[3.0, 0.5, 0.0]])
    assert np.allclose(lower, [[2.0, 0.0, -1.0]])


def test_polyhedra_of_different_numbers_of_faces_share_an_array():
    normals = np.stack([OCTAHEDRON, np.concatenate([CUBE, CUBE[:2]])])
    both = upper_and_lower(normals, np.ones((2, 8)))
    for one, alone in zip(both, (OCTAHEDRON, CUBE), strict=True):
        out = np.zeros((2, 33, 33))
        add_convex(out[0], one, 0.0, 0.0, -1.6, -1.6, 0.1, 1.0, False)
        add_convex(out[1], polyhedron(alone, 1.0), 0.0, 0.0, -1.6, -1.6, 0.1, 1.0, False)
        assert out[0].max() > 1
        assert np.array_equal(*out)


def test_chords_are_the_outline():
    planes = polyhedron(OCTAHEDRON, 1.0)
    for kernel in (chords, chords.py_func):
        low, high = np.empty((2, 3))
        kernel(planes, 0.25, 0.5, low, high)
        assert (low[:2], high[:2]) == (pytest.approx([-0.75, -0.25]), pytest.approx([0.75, 0.25]))
        assert low[2] > high[2]


def test_chord_of_parallel_planes_that_exclude_each_other_is_empty():
    # z <= 0 and z >= 1: no slope against each other, so no interval of x either
    planes = np.array([[[0.0, 0.0, 0.0]], [[-1.0, 0.0, 0.0]]])
    for kernel in (chords, chords.py_func):
        low, high = np.empty((2, 1))
        kernel(planes, 0.0, 1.0, low, high)
        assert low > 1e20  # beyond all other faces
        kernel(-planes, 0.0, 1.0, low, high)
        assert low < high


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.7, -0.4), (-1.7, 0.3), (1.8, 1.7), (0.2, 1.9), (9.0, 9.0)])
@pytest.mark.parametrize("add", [add_convex, add_convex.py_func], ids=["compiled", "python"])
def test_body_over_the_edge_is_cut(add, place):
    # the same body on a map so large that it lies inside, cut to the small one
    kwargs = {"pitch": 0.1, "y": place[0], "x": place[1]}
    small, _, _ = project(OCTAHEDRON, 1.0, n=33, add=add, **kwargs)
    large, _, _ = project(OCTAHEDRON, 1.0, n=233, **kwargs)
    assert np.allclose(small, large[100:133, 100:133], atol=2e-6)


@pytest.mark.parametrize("add", [add_convex, add_convex.py_func], ids=["compiled", "python"])
def test_body_over_a_periodic_edge_comes_back_on_the_other_side(add):
    centred, _, _ = project(OCTAHEDRON, 1.0, n=32, pitch=0.1, periodic=True, add=add)
    moved, _, _ = project(OCTAHEDRON, 1.0, n=32, pitch=0.1, y=1.3, x=-1.4, periodic=True, add=add)
    assert centred.sum() > 0
    assert np.allclose(moved, np.roll(centred, (13, -14), axis=(0, 1)), atol=2e-6)


def test_weight_scales_and_adds():
    once, _, _ = project(OCTAHEDRON, 1.0)
    minus_half, _, _ = project(OCTAHEDRON, 1.0, weight=-0.5)
    assert np.allclose(minus_half, -0.5 * once)


def test_row_longer_than_a_work_strip():
    # 512 samples of a row are worked on at a time: an outline of 1600 has no seam
    out = np.zeros((3, 1701))
    add_convex(out, polyhedron(OCTAHEDRON, 1.0), 0.0, 0.0, -0.1, -1.0625, 0.00125, 1.0, False)
    x = (np.arange(1701) - 850) * 0.00125
    y = np.array([-0.1, -0.09875, -0.0975])[:, None]
    assert np.allclose(out, np.maximum(2 * (1 - abs(x) - abs(y)), 0), atol=1e-5)


def test_python_kernels_agree_with_the_compiled_ones():
    planes = polyhedron(TETRAHEDRON, 1.0)
    faces = planes[0]
    least = np.empty((2, 7), np.float32)
    rows = np.zeros((2, 40))
    for k, python in enumerate((False, True)):
        low, add = (f.py_func if python else f for f in (convex._least, convex._add_row))
        ramp, *work = np.arange(3 * 512, dtype=np.float32).reshape(3, 512)
        low(faces, 0.2, -0.3, 0.1, ramp, least[k], 7)
        add(rows[k], planes, 0.1, 0.05, -1.0, 0.9, -2.0, 0.1, np.float32(1), False, ramp, *work)
    assert rows[0].max() > 1
    assert np.allclose(*rows, atol=1e-6)
    assert np.allclose(*least, atol=1e-6)
