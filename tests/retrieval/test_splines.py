"""Interpolation against scipy's, and the change of grid against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from specksim.retrieval import splines
from specksim.retrieval.splines import spline_coefficients, to_reference_grid


def smooth_image(rng, shape=(24, 30)):
    return ndimage.gaussian_filter(rng.normal(size=shape), 1.2).astype(np.float32)


@pytest.mark.parametrize("kernel", [splines.spline_at, splines.spline_at.py_func], ids=["compiled", "python"])
def test_spline_and_its_slopes_are_scipys(kernel, rng):
    image = smooth_image(rng)
    coefficients = spline_coefficients(image[None])[0]
    step = 1e-3

    def value(y, x):
        place = [[y], [x]]
        return ndimage.map_coordinates(image.astype(float), place, order=3, mode="mirror")[0]

    for y, x in [*rng.uniform((0.1, 0.1), (22.9, 28.9), (20, 2)), (0.5, 28.7)]:
        row, column = int(y + 0.5), int(x + 0.5)
        found = kernel(coefficients, row, column, y - row, x - column)
        along_y = (value(y + step, x) - value(y - step, x)) / (2 * step)
        along_x = (value(y, x + step) - value(y, x - step)) / (2 * step)
        np.testing.assert_allclose(found, (value(y, x), along_y, along_x), atol=2e-5)


def test_spline_returns_the_image_at_its_pixels(rng):
    image = smooth_image(rng)
    coefficients = spline_coefficients(image[None])[0]
    for y, x in [(0, 0), (23, 29), (0, 29), (11, 17)]:
        assert splines.spline_at(coefficients, y, x, 0.0, 0.0)[0] == pytest.approx(image[y, x], abs=1e-6)


def magnification(a, b, shape=(30, 40)):
    """u on the sample's grid and d on the reference's, of d = (a x, b y) around the first pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    found = np.stack([a * x / (1 + a), b * y / (1 + b), x * y])
    return found, np.stack([a * x, b * y, (1 + a) * x * (1 + b) * y])


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize(("a", "b"), [(0.1, 0.05), (-0.1, 0.1), (0.0, 0.0)])
def test_a_magnification_is_carried_to_the_references_grid(a, b, python, monkeypatch):
    if python:
        monkeypatch.setattr(splines, "_carry", splines._carry.py_func)
    found, expected = magnification(a, b, (14, 16))
    carried = to_reference_grid(found)
    inside = (
        slice(None),
        slice(3, 11),
        slice(3, 12),
    )  # the rest moves out of the frame or is cut by its border
    np.testing.assert_allclose(carried[inside], expected[inside], atol=3e-3)


def test_a_shift_beyond_the_frame_takes_the_borders_value():
    maps = np.zeros((3, 10, 12), np.float32)
    maps[0] = 5.0
    maps[2] = np.arange(12)
    carried = to_reference_grid(maps)
    np.testing.assert_allclose(carried[0], 5.0)
    np.testing.assert_allclose(carried[2, 5], np.minimum(np.arange(12) + 5, 11), atol=1e-5)


@given(st.integers(0, 10_000), st.floats(0.0, 2.5), st.floats(18.0, 60.0))
def test_carried_displacement_is_found_where_it_leads(seed, size, length):
    """d(x) = u(x + d(x)), for smooth fields of any size that do not fold."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 4)
    size = min(size, 0.4 * length / (2 * np.pi))  # a gradient of 0.4 at most
    y, x = np.mgrid[:40, :44].astype(np.float32)
    k = 2 * np.pi / length

    def field(y, x):
        return (
            size * np.sin(k * x + phases[0]) * np.cos(k * y + phases[1]),
            size * np.cos(k * x + phases[2]) * np.sin(k * y + phases[3]),
        )

    dx, dy = to_reference_grid(np.stack(field(y, x)).astype(np.float32))
    inside = (slice(4, -4), slice(4, -4))
    for found, led_to in zip((dx, dy), field(y + dy, x + dx), strict=True):
        np.testing.assert_allclose(found[inside], led_to[inside], atol=5e-3)
