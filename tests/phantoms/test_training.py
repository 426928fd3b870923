"""What the training geometries promise of every draw."""

import json
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from specksim import phantoms, tracing
from specksim.grid import Grid
from specksim.materials import refractive_index
from specksim.phantoms import draws, training

SEEDS = range(15)
GEOMETRIES = pytest.mark.parametrize("geometry", phantoms.TRAINING)


def draw(geometry, setup, seed, material="nylon"):
    return phantoms.draw_scene(geometry, material, setup, np.random.default_rng(seed))


@GEOMETRIES
@pytest.mark.parametrize("shape", [(64, 64), (48, 128)])
def test_every_draw_displaces_a_twentieth_of_the_frame(small_setup, geometry, shape):
    setup = small_setup.with_values(detector__rows=shape[0], detector__columns=shape[1])
    for seed in SEEDS:
        thickness_m = phantoms.thickness(draw(geometry, setup, seed), setup.ray_nodes(0))
        (line,) = tracing.refract(setup, thickness_m)
        n = setup.numerics.oversampling
        dx, dy = (d.reshape(shape[0], n, shape[1], n).mean((1, 3)) / n for d in (line.dx, line.dy))
        shift = np.hypot(dx, dy)
        delta, _ = refractive_index("nylon", 28.0)
        slope = shift * setup.object_pixel_m / (setup.effective_distance_m * delta)
        assert np.mean(slope >= 0.15) >= 0.05
        assert np.mean(shift > 0) >= 0.05


def host_chord(host, x_um, y_um):
    """Chord of a fibre or a block, µm, in float64 and by other means than the package's."""
    x, y = x_um - host["x_um"], y_um - host["y_um"]
    if host["shape"] == "cylinder":
        # |(r + s ẑ) × axis| = R solved for s, with the axis in three dimensions
        a, t = host["angle_rad"], host["tilt_rad"]
        axis = np.array([math.cos(t) * math.cos(a), math.cos(t) * math.sin(a), math.sin(t)])
        point = np.stack([x, y, np.zeros_like(x)], axis=-1)
        across = point - (point @ axis)[..., None] * axis
        beam = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
        b, c = across @ beam, (across**2).sum(-1) - host["radius_um"] ** 2
        return 2 * np.sqrt(np.maximum(b**2 - (beam @ beam) * c, 0)) / (beam @ beam)
    w, *xyz = host["rotation"]
    inverse = Rotation.from_quat([*xyz, w]).inv()
    start = inverse.apply(np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)).reshape(*x.shape, 3)
    direction = inverse.apply([0.0, 0.0, 1.0])
    walls = np.array([-0.5, 0.5])[:, None, None, None] * np.array(host["size_um"])
    hits = np.sort((walls - start) / direction, axis=0)
    return np.maximum(hits[1].min(-1) - hits[0].max(-1), 0)


@pytest.mark.parametrize("geometry", ["spheres-in-fiber", "spheres-in-block"])
def test_voids_stay_inside_of_their_host(small_setup, geometry):
    side = 64 * 9.9
    axis = np.linspace(-1.2 * side, 1.2 * side, 161)
    x, y = np.meshgrid(axis, axis)
    number = 0
    for seed in range(80):
        host, *voids = draw(geometry, small_setup, seed)["bodies"]
        left = host_chord(host, x, y)
        assert left.max() > 0
        for void in voids:
            assert void["inclusion"] is True
            assert "material" not in void
            distance = (x - void["x_um"]) ** 2 + (y - void["y_um"]) ** 2
            left = left - 2 * np.sqrt(np.maximum(void["radius_um"] ** 2 - distance, 0))
        assert left.min() > -1e-9
        number += len(voids)
    assert number > 160


@pytest.mark.parametrize("angle_deg", [0.0, 45.0, 135.0])
def test_voids_stay_inside_of_a_steep_fibre(monkeypatch, angle_deg):
    # steeper than any that is drawn, so that a wrong axis would show
    fiber = {"shape": "cylinder", "x_um": 5.0, "y_um": -7.0, "radius_um": 100.0}
    angle = math.radians(angle_deg)
    fiber |= {"angle_rad": angle, "tilt_rad": math.radians(60)}
    monkeypatch.setattr(training, "fiber", lambda *_: fiber)
    reach = []
    for seed in range(30):
        _, *voids = training.draw_spheres_in_fiber(np.random.default_rng(seed), 600.0, 800.0)
        for void in voids:
            x, y = void["x_um"] - 5.0, void["y_um"] + 7.0
            reach.append(abs(y * math.cos(angle) - x * math.sin(angle)) + void["radius_um"])
    assert max(reach) <= 100.0 + 1e-9
    assert max(reach) > 95.0  # they fill it to its wall


@GEOMETRIES
def test_scene_is_plain_json_and_gives_the_same_thickness(small_setup, geometry):
    grid = Grid(60, 70, 10e-6)
    for seed in range(5):
        scene = draw(geometry, small_setup, seed)
        again = json.loads(json.dumps(scene))
        assert again == scene
        maps, maps_again = phantoms.thickness(scene, grid), phantoms.thickness(again, grid)
        assert maps["nylon"].max() > 0
        assert np.array_equal(maps["nylon"], maps_again["nylon"])


@GEOMETRIES
def test_draw_depends_on_the_generator_only(small_setup, geometry):
    np.random.seed(0)  # noqa: NPY002  the global state must not matter
    first = draw(geometry, small_setup, 7)
    np.random.seed(1)  # noqa: NPY002
    assert draw(geometry, small_setup, 7) == first
    assert draw(geometry, small_setup, 8) != first
    assert draw(geometry, small_setup, 7, material="pmma")["bodies"] == first["bodies"]


@GEOMETRIES
def test_lengths_scale_with_the_frame(small_setup, geometry):
    # pixels of twice the size: everything is drawn twice as large
    doubled = small_setup.with_values(detector__pixel_size_um=19.8)
    for one, two in zip(
        draw(geometry, small_setup, 3)["bodies"], draw(geometry, doubled, 3)["bodies"], strict=True
    ):
        for key, value in one.items():
            factor = 2.0 if key.endswith("_um") else 1.0
            if not isinstance(value, str):
                assert np.allclose(np.asarray(two[key], float), factor * np.asarray(value, float), rtol=1e-12)


def test_blocks_show_no_wall_along_the_beam(small_setup):
    for seed in SEEDS:
        block = draw("spheres-in-block", small_setup, seed)["bodies"][0]
        w, *xyz = block["rotation"]
        along_beam = np.abs(Rotation.from_quat([*xyz, w]).as_matrix()[2])
        assert along_beam.min() >= math.sin(math.radians(10)) - 1e-12


def test_draw_that_displaces_too_little_is_refused(small_setup, monkeypatch, rng):
    monkeypatch.setattr(draws, "_MAX_DRAWS", 3)
    with pytest.raises(ValueError, match="no draw out of 3 displaced 6 %"):
        draws.draw_scene(lambda *_: [], rng, small_setup)
