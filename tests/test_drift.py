"""What moves beside the object: where the light goes, and what the labels say."""

import json

import numpy as np
import pytest

from specksim import phantoms, seeds
from specksim.drift import Drift, Ripple, _behind, draw_drift
from specksim.forward import draw_pair, simulate_pair
from specksim.sandpaper import simulate_field

EMPTY = {"geometry": "empty", "material": "nylon"}
MIXED_DRIFT = Drift((0.4, -0.7), (0.004, -0.002, 0.003), (Ripple(0.4, 0.08, -0.05, 0.3),))


@pytest.fixture(scope="module")
def field(small_setup):
    return simulate_field(small_setup, seeds.field_rng(0, "training", 0), waves=True)


def run(setup, scene, field, drift=None, propagation="rays"):
    if drift is not None:
        scene = {**scene, "drift": drift.to_json()}
    rngs = np.random.default_rng(1), np.random.default_rng(2)
    return simulate_pair(setup, scene, field, *rngs, propagation=propagation)


def sphere(setup):
    return phantoms.draw_scene("sphere", "al2o3", setup, np.random.default_rng(3))


@pytest.mark.parametrize("propagation", ["rays", "waves"])
def test_a_shift_moves_the_whole_image(small_setup, field, propagation):
    pair = run(small_setup, EMPTY, field, Drift((3.0, -2.0)), propagation)
    assert np.unique(pair.dx) == pytest.approx(3.0, abs=1e-5)
    assert np.unique(pair.dy) == pytest.approx(-2.0, abs=1e-5)
    assert pair.sample[0, 10:40, 13:43] == pytest.approx(pair.reference[0, 12:42, 10:40], abs=4e-3)


def test_each_part_of_the_label_is_its_formula(small_setup, field):
    inside = np.arange(64) - 31.5
    ripple = run(small_setup, EMPTY, field, Drift(ripples=(Ripple(0.5, 0.1, 0.0, 0.3),)))
    assert ripple.dx[20] == pytest.approx(0.5 * np.sin(0.1 * inside + 0.3), abs=2e-3)
    assert not ripple.dy.any()
    strained = run(small_setup, EMPTY, field, Drift(strain=(0.01, 0.02, -0.03)))
    assert strained.dx == pytest.approx(0.01 * inside + 0.02 * inside[:, None], abs=1e-4)
    assert strained.dy == pytest.approx(0.02 * inside - 0.03 * inside[:, None], abs=1e-4)


def test_the_drift_acts_behind_the_object(small_setup, field):
    scene = sphere(small_setup)
    alone, strain = run(small_setup, scene, field), Drift(strain=(0.02, 0.0, 0.0))
    both = run(small_setup, scene, field, strain)
    x = np.arange(64) - 31.5
    assert np.abs(alone.dx).max() > 0.3
    assert both.dx == pytest.approx(alone.dx + 0.02 * (x + alone.dx), abs=1e-4)
    assert np.array_equal(both.transmission, alone.transmission)


def test_waves_go_where_rays_go(small_setup, field):
    scene = sphere(small_setup)
    by_rays = run(small_setup, scene, field, MIXED_DRIFT)
    by_waves = run(small_setup, scene, field, MIXED_DRIFT, "waves")
    still = run(small_setup, scene, field, propagation="waves")
    away = by_rays.valid > 0
    contrast = by_rays.reference.std()
    difference = np.sqrt(np.mean((by_rays.sample[0] - by_waves.sample[0])[away] ** 2))
    moved = np.sqrt(np.mean((still.sample[0] - by_waves.sample[0])[away] ** 2))
    assert np.array_equal(by_rays.dx, by_waves.dx)
    assert difference < 0.04 * contrast
    assert moved > 10 * difference


@pytest.mark.parametrize("propagation", ["rays", "waves"])
def test_no_drift_and_a_drift_of_nothing_are_the_same_scene(small_setup, field, propagation):
    scene = sphere(small_setup)
    alone = run(small_setup, scene, field, propagation=propagation)
    still = run(small_setup, scene, field, Drift(), propagation)
    assert still.dx == pytest.approx(alone.dx, abs=1e-6)
    assert still.sample == pytest.approx(alone.sample, abs=5e-3)


def test_drawn_drifts_are_curl_free_bounded_and_survive_json(small_setup):
    rng, zero = np.random.default_rng(0), np.zeros((64, 64), np.float32)
    lengths = []
    for _ in range(40):
        drift = draw_drift(rng, small_setup)
        assert Drift.of({"drift": json.loads(json.dumps(drift.to_json()))}) == drift
        dx, dy = drift.behind(zero, zero, 1)
        curl = np.gradient(dy, axis=1) - np.gradient(dx, axis=0)
        assert np.abs(curl[1:-1, 1:-1]).max() < 0.02 * max(np.abs(np.gradient(dx)).max(), 0.01)
        assert max(np.abs(dx).max(), np.abs(dy).max()) <= drift.farthest_px(small_setup)
        lengths.append(np.hypot(*drift.constant_px))
    assert 0.02 <= min(lengths) < 0.2
    assert 1 < max(lengths) <= 3


def test_the_share_of_drifting_pairs(small_setup, small_field):
    def scenes(drift):
        return [
            draw_pair(
                small_setup,
                small_field,
                material="nylon",
                geometry="sphere",
                seed=0,
                split="training",
                index=index,
                drift=drift,
            ).scene
            for index in range(12)
        ]

    none, half, all_ = scenes(0.0), scenes(0.5), scenes(1.0)
    assert not any("drift" in scene for scene in none)
    assert 0 < sum("drift" in scene for scene in half) < 12
    assert all("drift" in scene for scene in all_)
    for scene, other in zip(none, all_, strict=True):
        assert scene["bodies"] == other["bodies"]


def test_the_kernel_by_its_python_function():
    rng = np.random.default_rng(0)
    dx, dy = rng.normal(size=(2, 6, 7)).astype(np.float32)
    values = [
        np.float32(4),
        *(rng.normal(size=n).astype(np.float32) for n in (2, 3)),
        rng.normal(size=(2, 4)),
    ]
    values[-1] = values[-1].astype(np.float32)
    for compiled, plain in zip(_behind(dx, dy, *values), _behind.py_func(dx, dy, *values), strict=True):
        assert compiled == pytest.approx(plain, rel=1e-4, abs=1e-4)
