"""Wedge, steps, blobs, star and empty against their formulas; displacements with their signs."""

import math

import numpy as np
import pytest

from specksim import detector, phantoms
from specksim.grid import Grid
from specksim.materials import refractive_index
from specksim.optics import refraction
from specksim.phantoms import fields

GRID = Grid(121, 161, 2e-6)
X, Y = GRID.x_m[None, :], GRID.y_m[:, None]


def scene(geometry, **drawn):
    return {"geometry": geometry, "material": "nylon", **drawn}


def project(geometry, grid=GRID, **drawn):
    return phantoms.thickness(scene(geometry, **drawn), grid)["nylon"]


def labels(setup, one_scene):
    """dx, dy in pixels over the frame, and one pixel's displacement for a slope of one."""
    delta, _ = refractive_index("nylon", setup.beam.energy_kev)
    path = delta * phantoms.thickness(one_scene, setup.ray_nodes(0))["nylon"]
    cells = refraction.displacement(path, setup.effective_distance_m, setup.ray_pitch_m)
    shape, n = setup.detector.shape, setup.numerics.oversampling
    dx, dy = (detector.bin_mean(d, n, shape) / n for d in cells)
    return dx, dy, delta * setup.effective_distance_m / setup.object_pixel_m


@pytest.mark.parametrize("slopes", [(0.5, 0.0), (0.0, 0.5), (-0.4, 0.3)])
def test_a_wedge_shifts_the_whole_frame_away_from_its_thick_end(small_setup, slopes):
    slope_x, slope_y = slopes
    wedge = scene("wedge", base_um=600.0, slope_x=slope_x, slope_y=slope_y)
    dx, dy, unit = labels(small_setup, wedge)
    # d = −zδ ∇T: towards the thin end, −x where the thickness grows with x
    assert dx == pytest.approx(-unit * slope_x, abs=2e-5)
    assert dy == pytest.approx(-unit * slope_y, abs=2e-5)
    assert np.sign(dx.mean().round(4)) == -np.sign(slope_x)


def test_a_drawn_wedge_is_matter_over_the_frame_and_around_it(small_setup):
    for seed in range(20):
        drawn = phantoms.draw_scene("wedge", "nylon", small_setup, np.random.default_rng(seed))
        assert 0.15 <= math.hypot(drawn["slope_x"], drawn["slope_y"]) <= 2
        thickness = phantoms.thickness(drawn, small_setup.ray_nodes(64))["nylon"]
        assert thickness.min() >= 0
        assert np.diff(thickness[:, 0]) == pytest.approx(drawn["slope_y"] * small_setup.ray_pitch_m, abs=1e-9)
        assert np.diff(thickness[0]) == pytest.approx(drawn["slope_x"] * small_setup.ray_pitch_m, abs=1e-9)


def test_a_wedge_ends_where_it_would_be_negative():
    thickness = project("wedge", base_um=0.0, slope_x=1.0, slope_y=0.0)
    assert np.allclose(thickness, np.maximum(X + 0 * Y, 0), atol=1e-11)


@pytest.mark.parametrize(("angle", "along"), [(0.0, X + 0 * Y), (0.5 * math.pi, Y + 0 * X)])
def test_steps_rise_along_their_angle(angle, along):
    thickness = project(
        "steps", angle_rad=angle, knots_um=[-20.0, 0.0, 50.0, 60.0], thickness_um=[10.0, 30.0, 30.0, 5.0]
    )
    assert np.allclose(thickness[along <= -20e-6], 10e-6)
    assert np.allclose(thickness[(along >= 0) & (along <= 50e-6)], 30e-6)
    assert np.allclose(thickness[along >= 60e-6], 5e-6)
    riser = (along > -20e-6) & (along < 0)
    assert np.allclose(thickness[riser], 30e-6 + along[riser])


def test_steps_displace_at_their_risers_alone(small_setup):
    steps = scene("steps", angle_rad=0.0, knots_um=[-99.0, 99.0], thickness_um=[0.0, 99.0])
    dx, dy, unit = labels(small_setup, steps)
    assert dx[:, 23:41] == pytest.approx(-unit * 0.5, rel=1e-3)
    assert dx[:, [0, 21, 42, 63]] == pytest.approx(0.0, abs=1e-6)
    assert dy == pytest.approx(0.0, abs=1e-6)


def test_drawn_steps_lean_and_are_matter(small_setup):
    for seed in range(20):
        drawn = phantoms.draw_scene("steps", "nylon", small_setup, np.random.default_rng(seed))
        knots, thickness = np.array(drawn["knots_um"]), np.array(drawn["thickness_um"])
        assert (np.diff(knots) > 0).all()
        assert thickness.min() == 0
        slopes = np.abs(np.diff(thickness) / np.diff(knots))
        assert slopes[1::2] == pytest.approx(0.0, abs=1e-9)  # treads
        assert (slopes[::2] >= 0.3 - 1e-9).all()
        assert (slopes[::2] <= 2 + 1e-9).all()


def test_blobs_are_the_sum_of_their_bumps():
    bumps = [[20.0, -30.0, 25.0, 40.0], [-50.0, 10.0, 60.0, 15.0]]
    expected = sum(
        h * 1e-6 * np.exp(-((X - x * 1e-6) ** 2 + (Y - y * 1e-6) ** 2) / (2 * (s * 1e-6) ** 2))
        for x, y, s, h in bumps
    )
    assert np.allclose(project("blobs", bumps_um=bumps), expected, rtol=1e-5, atol=1e-12)


def test_drawn_blobs_are_no_steeper_than_promised(small_setup):
    grid = small_setup.ray_nodes(8)
    for seed in range(10):
        drawn = phantoms.draw_scene("blobs", "nylon", small_setup, np.random.default_rng(seed))
        assert 10 <= len(drawn["bumps_um"]) <= 40
        one = phantoms.thickness({**drawn, "bumps_um": drawn["bumps_um"][:1]}, grid)["nylon"].astype(float)
        steepest = np.hypot(*np.gradient(one, grid.pitch_m)).max()
        assert steepest <= 1.5 * 1.001
        assert phantoms.thickness(drawn, grid)["nylon"].max() > 5e-6


@pytest.mark.parametrize("vertical", [False, True])
def test_the_star_displaces_by_a_sine_of_growing_period(vertical, small_setup):
    setup = small_setup.with_values(detector__rows=128, detector__columns=160)
    p, n = 1e6 * setup.object_pixel_m, 128 if vertical else 160
    first, last = 8 * p, 50 * p
    drawn = scene(
        "star",
        angle_rad=0.5 * math.pi * vertical, slope=1.5, start_um=-0.5 * n * p, length_um=n * p,
        period_um=[first, last],
    )  # fmt: skip
    dx, dy, unit = labels(setup, drawn)
    along, across = (dy, dx) if vertical else (dx, dy)
    assert across == pytest.approx(0.0, abs=2e-5)
    profile = along.mean(axis=1 if vertical else 0)
    assert np.ptp(along, axis=1 if vertical else 0).max() < 1e-4
    # the mean over each pixel of −zδ · slope · cos Φ, by quadrature
    s = (np.arange(n * 64) + 0.5) / 64 * p
    growth = (last - first) / (n * p)
    wave = np.cos(2 * math.pi / growth * np.log(1 + growth * s / first))
    expected = -unit * 1.5 * wave.reshape(n, 64).mean(axis=1)
    assert profile == pytest.approx(expected, abs=2e-4)
    # one amplitude from end to end, but for what the pixel averages out
    assert np.abs(profile[:12]).max() > 0.9 * 1.5 * unit
    assert np.abs(profile[-60:]).max() == pytest.approx(1.5 * unit, rel=0.01)


def test_a_drawn_star_has_its_first_and_last_period(small_setup):
    axes = set()
    for seed in range(12):
        drawn = phantoms.draw_scene("star", "nylon", small_setup, np.random.default_rng(seed))
        assert drawn["period_um"] == pytest.approx([8 * 9.9, 0.4 * 64 * 9.9])
        assert 0.7 <= drawn["slope"] <= 2
        assert phantoms.thickness(drawn, small_setup.ray_nodes(64))["nylon"].min() >= 0
        axes.add(drawn["angle_rad"])
    assert axes == {0.0, 0.5 * math.pi}


def test_empty_is_empty(small_setup, rng):
    assert fields.draw_empty(rng, small_setup) == {}
    assert (project("empty") == 0).all()
