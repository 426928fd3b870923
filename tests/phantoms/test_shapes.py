"""What the further geometries promise of every draw, and the flower."""

import itertools
import json
import math

import numpy as np
import pytest

from specksim import phantoms
from specksim.grid import Grid
from specksim.materials import MATERIALS
from specksim.phantoms import flower

FURTHER = [
    "ellipsoid", "cone", "tube", "composite", "flower", "wedge", "steps", "blobs", "star", "empty",
]  # fmt: skip
BODIES = ["ellipsoid", "cone", "tube", "composite"]


def draw(geometry, setup, seed, material="nylon"):
    return phantoms.draw_scene(geometry, material, setup, np.random.default_rng(seed))


def test_every_geometry_is_known_by_its_name():
    assert set(FURTHER) <= set(phantoms.geometry_names())
    assert not set(FURTHER) & set(phantoms.TRAINING)


@pytest.mark.parametrize("geometry", FURTHER)
def test_scene_is_plain_json_and_gives_the_same_thickness(small_setup, geometry):
    grid = Grid(60, 70, 10e-6)
    for seed in range(3):
        scene = draw(geometry, small_setup, seed)
        again = json.loads(json.dumps(scene, allow_nan=False))
        assert again == scene == draw(geometry, small_setup, seed)
        maps, maps_again = phantoms.thickness(scene, grid), phantoms.thickness(again, grid)
        assert next(iter(maps)) == "nylon"
        assert all(np.array_equal(maps[name], maps_again[name]) for name in maps)
        assert all(values.dtype == np.float32 for values in maps.values())
    if geometry != "empty":
        assert draw(geometry, small_setup, 1) != draw(geometry, small_setup, 2)


@pytest.mark.parametrize("geometry", BODIES)
def test_every_draw_of_bodies_displaces_some_of_the_frame(small_setup, geometry):
    grid = small_setup.ray_nodes(0)
    for seed in range(10):
        thickness = sum(phantoms.thickness(draw(geometry, small_setup, seed), grid).values())
        slope = np.hypot(*np.gradient(thickness.astype(float), grid.pitch_m))
        assert np.mean(slope >= 0.15) >= 0.05


def test_a_tube_is_its_outer_less_its_inner_cylinder(small_setup):
    grid = Grid(80, 80, 8e-6)
    for seed in range(5):
        scene = draw("tube", small_setup, seed)
        outer = {**scene, "bodies": scene["bodies"][::2]}
        inner = {**scene, "bodies": [{**body, "inclusion": False} for body in scene["bodies"][1::2]]}
        whole = phantoms.thickness(outer, grid)["nylon"] - phantoms.thickness(inner, grid)["nylon"]
        assert phantoms.thickness(scene, grid)["nylon"] == pytest.approx(whole, abs=1e-10)
        for one, other in zip(outer["bodies"], inner["bodies"], strict=True):
            assert 0.3 <= other["radius_um"] / one["radius_um"] <= 0.9
            assert other["x_um"] == one["x_um"]


def test_a_composite_holds_voids_and_grains_of_all_materials(small_setup):
    found = set()
    for seed in range(30):
        scene = draw("composite", small_setup, seed, material="pmma")
        host, *inclusions = scene["bodies"]
        assert "material" not in host
        found |= {body["material"] for body in inclusions}
        maps = phantoms.thickness(scene, Grid(40, 40, 16e-6))
        assert set(maps) == {"pmma"} | {body["material"] for body in inclusions} - {None}
    assert found == {None, *MATERIALS}


def test_cones_lie_on_no_wall_along_the_beam(small_setup):
    tilts = [body["tilt_rad"] for seed in range(20) for body in draw("cone", small_setup, seed)["bodies"]]
    assert math.radians(10) <= min(tilts)
    assert max(tilts) <= math.radians(90)


@pytest.fixture(scope="module")
def whole_flower(small_setup):
    """A frame that shows all of a head."""
    setup = small_setup.with_values(detector__pixel_size_um=400.0)
    return draw("flower", setup, 5)


def test_a_flower_is_a_core_and_hundreds_of_filaments(whole_flower):
    core, *rest = whole_flower["bodies"]
    pieces = [body for body in rest if body["shape"] == "capsule"]
    anthers = [body for body in rest if body["shape"] == "sphere"]
    assert 200 <= len(anthers) <= 400
    assert len(pieces) == flower._PIECES * len(anthers)
    assert 0.12 * 2500 <= core["radius_um"] <= 0.2 * 5000
    assert max(abs(piece["tilt_rad"]) for piece in pieces) < math.radians(60) + 1e-4
    distance = [math.hypot(a["x_um"] - core["x_um"], a["y_um"] - core["y_um"]) for a in anthers]
    assert 2300 < max(distance) < 5100  # 5 to 10 mm wide


def test_pieces_of_a_filament_follow_each_other(whole_flower):
    pieces = whole_flower["bodies"][1 : 1 + flower._PIECES]
    for one, other in itertools.pairwise(pieces):
        ends = []
        for body, sign in ((one, 1), (other, -1)):
            half = sign * 0.5 * body["length_um"] * math.cos(body["tilt_rad"])
            ends.append(
                (
                    body["x_um"] + half * math.cos(body["angle_rad"]),
                    body["y_um"] + half * math.sin(body["angle_rad"]),
                )
            )
        assert ends[0] == pytest.approx(ends[1], abs=0.2)


def test_a_small_frame_keeps_what_it_can_see_of_a_flower(small_setup, monkeypatch):
    scene = draw("flower", small_setup, 2)
    grid = small_setup.ray_nodes(16)
    monkeypatch.setattr(flower, "_distance_um", lambda body: 0.0)
    everything = draw("flower", small_setup, 2)
    assert len(scene["bodies"]) < len(everything["bodies"])
    seen = phantoms.thickness(scene, grid)["nylon"]
    assert seen.max() > 0
    assert seen == pytest.approx(phantoms.thickness(everything, grid)["nylon"], abs=1e-10)
