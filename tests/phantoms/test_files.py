"""Geometries in files: what they give, and what is wrong with a file in one line."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import trimesh

import specksim
from specksim import phantoms
from specksim.dataset import open_dataset
from specksim.grid import Grid
from specksim.phantoms import files
from specksim.request import Request


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Files are named as the user sees them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ball(radius_mm=0.1):
    return trimesh.creation.icosphere(4, radius_mm)


def scene(geometry, setup, seed=0):
    return phantoms.draw_scene(geometry, "nylon", setup, np.random.default_rng(seed))


@pytest.mark.parametrize("suffix", ["stl", "ply", "obj"])
def test_a_mesh_is_of_the_size_that_its_unit_says(suffix, small_setup):
    ball(100.0 if suffix == "ply" else 0.1).export(f"ball.{suffix}")
    drawn = scene(f"mesh:ball.{suffix}@{'um' if suffix == 'ply' else 'mm'}", small_setup)
    grid = Grid(200, 200, 2e-6)
    thickness = phantoms.thickness(drawn, grid)["nylon"]
    assert thickness.max() == pytest.approx(200e-6, rel=2e-3)
    assert thickness.sum(dtype=float) * grid.pitch_m**2 == pytest.approx(4 / 3 * np.pi * 1e-12, rel=5e-3)
    row, column = np.unravel_index(np.argmax(thickness), grid.shape)
    place = 1e6 * grid.x_m[column], 1e6 * grid.y_m[row]
    assert place == pytest.approx((drawn["x_um"], drawn["y_um"]), abs=8)


def test_a_mesh_is_turned_at_random_about_its_middle(small_setup):
    mesh = trimesh.creation.box((0.1, 0.2, 0.3))
    mesh.apply_translation((500, 0, -7))
    mesh.export("far.stl")
    one, other = (scene("mesh:far.stl@mm", small_setup, seed) for seed in (1, 2))
    assert one["rotation"] != other["rotation"]
    assert one == scene("mesh:far.stl@mm", small_setup, 1)
    maps = [phantoms.thickness(drawn, Grid(300, 300, 2e-6))["nylon"] for drawn in (one, other)]
    assert all(values.sum() * 4e-12 == pytest.approx(6e-12, rel=0.01) for values in maps)


def test_an_inside_out_mesh_is_turned(small_setup):
    mesh = ball()
    mesh.invert()
    mesh.export("ball.stl")
    thickness = phantoms.thickness(scene("mesh:ball.stl@mm", small_setup), Grid(200, 200, 2e-6))
    assert thickness["nylon"].max() == pytest.approx(200e-6, rel=2e-3)


def test_a_map_is_followed_by_its_labels(small_setup):
    # a smooth map, known at the pixels' centres: labels are the pixel means of its gradient
    x = (np.arange(64) - 31.5) * 9.9
    height = 40 * np.exp(-(x[None, :] ** 2 + x[:, None] ** 2) / (2 * 120**2))
    np.save("map.npy", height.astype(np.float32))
    pair = specksim.simulate(small_setup, material="nylon", geometry="thickness:map.npy@um")
    delta, _ = specksim.refractive_index("nylon", 28.0)
    edges = (np.arange(65) - 32) * 9.9
    fine = 40 * np.exp(-(edges[None, :] ** 2) / (2 * 120**2)) * np.exp(-(x[:, None] ** 2) / (2 * 120**2))
    expected = -2.0 * delta * np.diff(fine, axis=1) / 9.9 / 9.9e-6
    assert pair.dx == pytest.approx(expected, abs=2e-5)
    assert np.abs(pair.dx).max() > 100 * 2e-5
    assert np.allclose(pair.dx.T, pair.dy, atol=1e-6)
    assert pair.valid.all()


@pytest.mark.parametrize("factor", [1, 3])
def test_a_map_may_be_finer_than_the_frame(factor, small_setup):
    setup = small_setup.with_values(detector__columns=80)
    y, x = (((np.arange(n * factor) + 0.5) / factor - n / 2) * 9.9e-6 for n in (64, 80))
    tifffile.imwrite("map.tif", (2e-4 + 0.1 * x[None, :] + 0.2 * y[:, None]).astype(np.float32))
    drawn = scene("thickness:map.tif@m", setup)
    grid = Grid(241, 301, 2e-6)
    expected = 2e-4 + 0.1 * grid.x_m + 0.2 * grid.y_m[:, None]
    assert phantoms.thickness(drawn, grid)["nylon"] == pytest.approx(expected, abs=1e-10)


def test_a_map_goes_on_beyond_the_frame_and_is_never_negative(small_setup):
    step = np.zeros((64, 64))
    step[:, 32:] = 100.0
    np.save("map.npy", step)
    grid = small_setup.ray_nodes(16)
    thickness = phantoms.thickness(scene("thickness:map.npy@um", small_setup), grid)["nylon"]
    assert thickness.min() == 0  # the spline swings below on its side of the step
    assert thickness[:, -1] == pytest.approx(100e-6, rel=1e-3)
    assert np.ptp(thickness[:, -64:], axis=1).max() < 1e-9


def test_a_data_set_keeps_the_files_digest_and_refuses_another_file(small_setup, folder):
    ball().export("ball.stl")
    name = phantoms.resolve_name("mesh:ball.stl@mm")
    assert name == phantoms.resolve_name(name)
    path = specksim.generate("set.h5", small_setup, n=2, geometries="mesh:ball.stl@mm")
    with open_dataset(path) as dataset:
        assert dataset.request.geometries == (name,)
        pair = dataset[1]
    assert pair.scene["geometry"] == name
    again = specksim.simulate(small_setup, geometry="mesh:ball.stl@mm", index=1)
    assert np.array_equal(again.dx, pair.dx)
    before = phantoms.thickness(pair.scene, Grid(64, 64, 9.9e-6))
    ball(0.2).export("ball.stl")
    with pytest.raises(ValueError, match=r"ball.stl has changed: its SHA-256 begins with .*, not "):
        phantoms.thickness(pair.scene, Grid(64, 64, 9.9e-6))
    with pytest.raises(ValueError, match="cannot be resumed: geometries"):
        specksim.generate("set.h5", small_setup, n=2, geometries="mesh:ball.stl@mm", resume=True)
    ball().export("ball.stl")
    assert np.array_equal(phantoms.thickness(pair.scene, Grid(64, 64, 9.9e-6))["nylon"], before["nylon"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mesh", "'mesh' must be mesh:FILE@UNIT, as in mesh:part.stl@mm"),
        ("thickness:", "must be thickness:FILE@UNIT, as in thickness:map.npy@mm"),
        ("mesh:ball.stl", "as in mesh:ball.stl@mm; units: m, mm, um, µm, nm"),
        ("mesh:ball.stl@inch", "units: m, mm"),
        ("mesh:@mm", "must be mesh:FILE@UNIT"),
    ],
)
def test_a_name_without_file_or_unit_says_what_is_missing(name, words, small_setup):
    with pytest.raises(ValueError, match=words):
        Request.create(small_setup, geometries=(name,))


def test_a_missing_file_is_named(small_setup):
    with pytest.raises(FileNotFoundError, match=r"none\.stl"):
        Request.create(small_setup, geometries=("mesh:none.stl@mm",))


def bad_meshes():
    opened = trimesh.creation.box((1, 1, 1))
    opened.update_faces(np.arange(len(opened.faces)) > 0)
    box = trimesh.creation.box((1, 1, 1))
    crossed = trimesh.util.concatenate([box, box.copy().apply_translation((0.5, 0.3, 0.2))])
    return {"open": opened, "crossed": crossed}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("open", r"bad.stl: the mesh must be closed"),
        ("crossed", r"bad.stl: the mesh intersects itself, .* over up to 0.8 of 1.5"),
        (b"", r"bad.stl: the mesh is empty, or the file is none"),
        (b"solid a\nendsolid a\n", r"bad.stl: the mesh is empty, or the file is none"),
        (b"\x89HDF\r\n\x1a\n" * 20, r"bad.stl: "),
    ],
)
def test_a_bad_mesh_is_refused_in_one_line(content, words, small_setup):
    if isinstance(content, bytes):
        Path("bad.stl").write_bytes(content)
    else:
        bad_meshes()[content].export("bad.stl")
    with pytest.raises(ValueError, match=words) as caught:
        Request.create(small_setup, geometries=("mesh:bad.stl@mm",))
    assert "\n" not in str(caught.value)


def test_a_mesh_with_a_corner_at_infinity_is_refused(small_setup):
    text = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    text += "element face 4\nproperty list uchar int vertex_indices\nend_header\n"
    text += "0 0 0\n1 0 0\n0 1 0\n0 0 inf\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 0 3 2\n"
    Path("inf.ply").write_text(text)
    with pytest.raises(ValueError, match=r"inf.ply: the mesh must be closed"):
        Request.create(small_setup, geometries=("mesh:inf.ply@mm",))


def test_a_mesh_smaller_than_a_pixel_is_taken_for_a_wrong_unit(small_setup):
    ball().export("ball.stl")
    with pytest.raises(ValueError, match=r"ball.stl: must be larger than two pixels, got 2e-07 m"):
        scene("mesh:ball.stl@um", small_setup)


def test_a_mesh_far_larger_than_the_frame_is_taken_for_a_wrong_unit(small_setup):
    ball(100.0).export("ball.stl")
    drawn = scene("mesh:ball.stl@m", small_setup)
    with pytest.raises(ValueError, match=r"ball.stl: the mesh is 200 m wide, too large for the frame"):
        phantoms.thickness(drawn, small_setup.ray_nodes(0))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((64, 64), np.nan), "map.npy: frame 0 must be finite, got nan"),
        (np.full((64, 64), -1.0), "map.npy: frame 0 must be >= 0, got -1.0"),
        (np.zeros((2, 64, 64)), "map.npy: must hold one image, got 2"),
        (np.zeros(64), "map.npy: must hold images"),
        (np.zeros((64, 3)), "map.npy: must have at least 4 × 4 pixels"),
        (np.zeros((64, 65)), r"map.npy: must have the frame's shape \(64, 64\) or a multiple of it"),
        (np.zeros((64, 128)), "or a multiple of it, got"),
        (np.zeros((32, 32)), "or a multiple of it, got"),
    ],
)
def test_a_bad_map_is_refused(values, words, small_setup):
    np.save("map.npy", values)
    with pytest.raises(ValueError, match=words):
        scene("thickness:map.npy@um", small_setup)


def test_a_mesh_without_trimesh_says_how_to_get_it(small_setup, monkeypatch):
    ball().export("other.stl")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(ValueError, match=r"needs trimesh: pip install 'specksim\[mesh\]'"):
        scene("mesh:other.stl@mm", small_setup)


def test_names_of_files_are_told_from_others():
    assert files.is_file_geometry("mesh")
    assert files.is_file_geometry("thickness:a.npy@m")
    assert not files.is_file_geometry("meshes")
    assert not files.is_file_geometry("sphere")
