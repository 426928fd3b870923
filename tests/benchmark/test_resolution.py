"""Resolution of known windows against their closed forms."""

import math

import numpy as np
import pytest
from scipy import ndimage

from specksim import phantoms
from specksim.benchmark.resolution import edge_width_px, noise_level, star_response

GAUSSIAN_90 = 2 * math.pi / math.sqrt(-2 * math.log(0.9))
GAUSSIAN_WIDTH = 2 * 1.28155


def draw(geometry, setup, seed=0):
    return phantoms.draw_scene(geometry, "al2o3", setup, np.random.default_rng(seed))


def blurred(displacement, sigma):
    return [ndimage.gaussian_filter(part, sigma, mode="nearest") for part in displacement]


def windowed(displacement, side):
    return [ndimage.uniform_filter(part, side, mode="nearest") for part in displacement]


def noise(rng, shape, sigma, level):
    """What is left of white noise in a Gaussian window, of a standard deviation `level`."""
    white = rng.standard_normal((2, *shape))
    return 2 * math.sqrt(math.pi) * sigma * level * ndimage.gaussian_filter(white, (0, sigma, sigma))


@pytest.fixture(scope="module")
def star(setup, labels):
    scene = draw("star", setup)
    return scene, labels(scene, setup)


@pytest.fixture(scope="module")
def steps(setup, labels):
    scene = draw("steps", setup, 3)
    return scene, labels(scene, setup)


def respond(star, setup, retrieved, **options):
    scene, truth = star
    return star_response(*retrieved, *truth, scene, setup, **options)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5, 6.0])
def test_the_period_at_90_per_cent_of_a_gaussian_window(star, setup, sigma):
    found = respond(star, setup, blurred(star[1], sigma))
    assert found.period_90_px == pytest.approx(GAUSSIAN_90 * sigma, rel=0.015)
    expected = np.exp(-2 * (math.pi * sigma / found.period_px) ** 2)
    inner = slice(1, -1)  # less than a period to fit at the ends
    assert found.response[inner] == pytest.approx(expected[inner], abs=0.05)
    assert (np.diff(found.response) >= 0).all()


@pytest.mark.parametrize("side", [9, 13, 21])
def test_the_period_at_90_per_cent_of_a_square_window(star, setup, side):
    # sin(x)/x = 0.9 at x = π w / P = 0.7866
    assert respond(star, setup, windowed(star[1], side)).period_90_px == pytest.approx(
        math.pi / 0.7866 * side, rel=0.02
    )


def test_a_star_along_either_axis(setup, labels):
    axes = set()
    for seed in range(4):
        scene = draw("star", setup, seed)
        truth = labels(scene, setup)
        found = respond((scene, truth), setup, blurred(truth, 2.0))
        assert found.period_90_px == pytest.approx(2 * GAUSSIAN_90, rel=0.015)
        axes.add(scene["angle_rad"])
    assert len(axes) == 2


def test_periods_are_in_detector_pixels_of_a_cone_beam(labels, setup):
    lab = type(setup).load("lab-2m").with_values(detector__rows=128, detector__columns=128)
    scene = draw("star", lab)
    truth = labels(scene, lab)
    assert respond((scene, truth), lab, blurred(truth, 1.5)).period_90_px == pytest.approx(
        1.5 * GAUSSIAN_90, rel=0.02
    )


def test_the_label_itself_and_a_window_too_wide(star, setup):
    exact = respond(star, setup, star[1])
    assert exact.response == pytest.approx(1.0, abs=1e-6)
    assert exact.period_90_px == exact.period_px[0] < 12  # what the border leaves of 8 px
    whole = respond(star, setup, star[1], border_px=0)
    assert whole.period_90_px == pytest.approx(8, rel=0.03)
    never = respond(star, setup, blurred(star[1], 12.0))
    assert never.period_90_px == math.inf
    nothing = respond(star, setup, np.zeros((2, 256, 256)))
    assert nothing.period_90_px == math.inf
    assert nothing.response == pytest.approx(0.0, abs=1e-9)


def test_a_constant_and_an_amplitude_are_told_apart(star, setup):
    shifted = [part + 0.3 for part in blurred(star[1], 2.0)]
    assert respond(star, setup, shifted).period_90_px == pytest.approx(2 * GAUSSIAN_90, rel=0.015)
    shrunk = [0.8 * part for part in star[1]]
    found = respond(star, setup, shrunk)
    assert found.response == pytest.approx(0.8, abs=1e-6)
    assert found.period_90_px == math.inf


def test_the_period_in_noise(star, setup):
    rng = np.random.default_rng(0)
    found = [
        respond(star, setup, blurred(star[1], 3.0) + noise(rng, (256, 256), 3.0, 0.01)) for _ in range(6)
    ]
    assert np.mean([one.period_90_px for one in found]) == pytest.approx(3 * GAUSSIAN_90, rel=0.04)


def test_the_indicator_of_one_kind_of_window_hardly_depends_on_its_size(star, setup):
    """Noise falls as 1/σ where the period grows as σ."""
    white = 0.1 * np.random.default_rng(0).standard_normal((2, 256, 256))
    found = [
        respond(star, setup, blurred(star[1] + white, sigma)).period_90_px
        * noise_level(*blurred(white, sigma))
        for sigma in (1.5, 3.0, 6.0)
    ]
    assert max(found) < 1.2 * min(found)


def test_noise_of_a_constant_displacement():
    rng = np.random.default_rng(0)
    dx, dy = 0.7 + 0.03 * rng.standard_normal((200, 200)), -2 + 0.04 * rng.standard_normal((200, 200))
    assert noise_level(dx) == pytest.approx(0.03, rel=0.02)
    assert noise_level(dx, dy) == pytest.approx(math.sqrt((0.03**2 + 0.04**2) / 2), rel=0.02)
    assert noise_level(np.full((3, 3), 0.5)) == 0.0


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0, 8.0])
def test_the_edge_of_a_gaussian_window(setup, labels, sigma):
    for seed in range(3):
        scene = draw("steps", setup, seed)
        truth = labels(scene, setup)
        width = edge_width_px(*blurred(truth, sigma), *truth, scene, setup)
        assert width == pytest.approx(GAUSSIAN_WIDTH * sigma, rel=0.01)


@pytest.mark.parametrize("side", [9, 13, 21])
def test_the_edge_of_a_square_window(steps, setup, side):
    scene, truth = steps
    assert edge_width_px(*windowed(truth, side), *truth, scene, setup) == pytest.approx(0.8 * side, rel=0.08)


def test_an_edge_does_not_care_for_height_or_constant(steps, setup):
    scene, truth = steps
    changed = [0.6 * part + 0.2 for part in blurred(truth, 3.0)]
    assert edge_width_px(*changed, *truth, scene, setup) == pytest.approx(3 * GAUSSIAN_WIDTH, rel=0.01)


def test_the_edge_of_the_label_and_of_nothing(steps, setup):
    scene, truth = steps
    assert edge_width_px(*truth, *truth, scene, setup) < 0.4
    assert math.isnan(edge_width_px(*np.zeros((2, 256, 256)), *truth, scene, setup))
    assert math.isnan(edge_width_px(*(-part for part in truth), *truth, scene, setup))
    y, x = np.mgrid[:256, :256]
    angle = scene["angle_rad"]
    ramp = 0.01 * (math.cos(angle) * x + math.sin(angle) * y)
    slow = [math.cos(angle) * ramp, math.sin(angle) * ramp]
    width = edge_width_px(*slow, *truth, scene, setup)
    assert math.isnan(width) or width > 50


def test_an_edge_in_noise(steps, setup):
    scene, truth = steps
    rng = np.random.default_rng(0)
    widths = [
        edge_width_px(*(blurred(truth, 3.0) + noise(rng, (256, 256), 3.0, 0.01)), *truth, scene, setup)
        for _ in range(6)
    ]
    assert np.mean(widths) == pytest.approx(3 * GAUSSIAN_WIDTH, rel=0.02)


def test_what_is_refused(star, steps, setup):
    scene, (dx, dy) = star
    with pytest.raises(ValueError, match="geometry 'star', got 'steps'"):
        star_response(dx, dy, dx, dy, steps[0], setup)
    with pytest.raises(ValueError, match="geometry 'steps', got 'star'"):
        edge_width_px(dx, dy, dx, dy, scene, setup)
    with pytest.raises(ValueError, match="of one shape"):
        star_response(dx[1:], dy, dx, dy, scene, setup)
    with pytest.raises(ValueError, match="of one shape"):
        star_response(dx[0], dy[0], dx[0], dy[0], scene, setup)
    for border in (-1, 128):
        with pytest.raises(ValueError, match=f"border_px must be >= 0 and leave pixels, got {border}"):
            star_response(dx, dy, dx, dy, scene, setup, border_px=border)
    with pytest.raises(ValueError, match=r"at least 2 periods inside of the border, got [01]\.\d"):
        star_response(dx, dy, dx, dy, scene, setup, border_px=100)
    hole = dx.copy()
    hole[100, 100] = np.nan
    with pytest.raises(ValueError, match="dx, dy must be finite, got 1 other"):
        star_response(hole, dy, dx, dy, scene, setup)
    with pytest.raises(ValueError, match="the label must be finite, got 1 other"):
        star_response(dx, dy, hole, dy, scene, setup)
    with pytest.raises(ValueError, match="the label must move"):
        star_response(dx, dy, 0 * dx, 0 * dy, scene, setup)
    with pytest.raises(ValueError, match="one or more arrays"):
        noise_level()
    with pytest.raises(ValueError, match="components must be finite"):
        noise_level(hole)
