"""Deposit of rays: what is conserved, where light goes, how bright it gets."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim import detector
from specksim.optics import rays
from specksim.optics.rays import deposit

KERNELS = pytest.mark.parametrize(
    "kernel", [rays._deposit, rays._deposit.py_func], ids=["compiled", "python"]
)


def linear(n: int, xx: float, xy: float, yx: float, yy: float) -> tuple[np.ndarray, np.ndarray]:
    """d = A x about the middle of an n × n grid."""
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    return xx * x + xy * y, yx * x + yy * y


@given(seed=st.integers(0, 2**32), reach=st.floats(0, 5))
def test_energy_and_mean_position_are_exact(seed, reach):
    rng = np.random.default_rng(seed)
    light = np.zeros((24, 31), np.float32)
    light[7:-7, 7:-7] = rng.exponential(size=(10, 17))  # no ray and no spline leaves the grid
    dx, dy = rng.uniform(-reach, reach, (2, *light.shape)).astype(np.float32)
    arrived = deposit(light, dx, dy).astype(float)
    total = light.sum(dtype=float)
    assert arrived.sum() == pytest.approx(total, rel=1e-6)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    assert (arrived * x).sum() / total == pytest.approx(
        (light * (x + dx.astype(float))).sum() / total, rel=1e-6
    )
    assert (arrived * y).sum() / total == pytest.approx(
        (light * (y + dy.astype(float))).sum() / total, rel=1e-6
    )


@given(u=st.floats(-3, 3), v=st.floats(-3, 3))
def test_one_ray_has_the_mean_and_variance_of_its_spline(u, v):
    u, v = float(np.float32(u)), float(np.float32(v))
    light = np.zeros((13, 15), np.float32)
    light[6, 7] = 2.0
    arrived = deposit(light, np.full(light.shape, u), np.full(light.shape, v)).astype(float)
    assert (arrived >= 0).all()
    for axis, centre in ((0, 6 + v), (1, 7 + u)):
        profile = arrived.sum(1 - axis) / 2
        place = np.arange(len(profile))
        assert (profile * place).sum() == pytest.approx(centre, rel=1e-6)
        variance = (profile * (place - centre) ** 2).sum()
        assert variance == pytest.approx(rays.SPLINE_VARIANCE, abs=1e-5)


def test_at_rest_a_ray_is_spread_as_documented():
    light = np.zeros((5, 5))
    light[2, 2] = 1.0
    spread = deposit(light, 0 * light, 0 * light)
    expected = np.outer(*[np.concatenate([[0], rays.SPLINE_AT_REST, [0]])] * 2)
    assert np.allclose(spread, expected, atol=1e-7)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (2, 0), (-4, 5)])
def test_whole_cells_move_the_image_exactly(rng, rows, columns):
    # dx moves along columns, dy along rows, in the direction of their sign
    light = rng.random((20, 22)).astype(np.float32)
    zero = np.zeros_like(light)
    still, moved = deposit(light, zero, zero), deposit(light, zero + columns, zero + rows)
    inner = slice(7, -7)
    assert np.array_equal(moved[inner, inner], np.roll(still, (rows, columns), axis=(0, 1))[inner, inner])


@given(
    xx=st.floats(-0.25, 0.25), xy=st.floats(-0.25, 0.25), yx=st.floats(-0.25, 0.25), yy=st.floats(-0.25, 0.25)
)
def test_brightness_is_one_over_the_jacobian(xx, xy, yx, yy):
    arrived = deposit(np.ones((160, 160)), *linear(160, xx, xy, yx, yy))
    determinant = (1 + xx) * (1 + yy) - xy * yx
    # whole pixels of 16 cells: the ripple on single cells is the next test's business
    assert arrived[72:88, 72:88].mean() == pytest.approx(1 / determinant, rel=4e-3)


@pytest.mark.parametrize("gradient", [-0.2, 0.05, 0.2])
def test_stretched_light_leaves_no_moire_on_the_detector(gradient):
    dx, dy = linear(480, gradient, 0.0, 0.0, gradient)
    image = detector.expected_image(
        deposit(np.ones((480, 480)), dx, dy), detector.blur_taps(0.5, 4, deposited=True), 4, (50, 50)
    )
    assert image.mean() == pytest.approx(1 / (1 + gradient) ** 2, rel=1e-3)
    assert image.std() / image.mean() < 1e-3


def test_fold_adds_the_light_of_both_sides():
    # d = -2x mirrors the left half onto the right half and back: a uniform beam stays uniform
    dx, dy = linear(64, -2.0, 0.0, 0.0, 0.0)
    assert np.allclose(deposit(np.ones((64, 64)), dx, dy)[2:-2, 2:-2], 1.0, rtol=1e-6)


@KERNELS
@pytest.mark.parametrize("far", [5.0, -5.0, 1e6, -1e6])
def test_light_sent_out_of_the_grid_is_lost(kernel, far):
    light, zero = np.ones((4, 4), np.float32), np.zeros((4, 4), np.float32)
    for dx, dy in ((zero + np.float32(far), zero), (zero, zero + np.float32(far))):
        arrived = np.zeros_like(light)
        assert kernel(light, dx, dy, arrived, 0)
        assert arrived.sum() == 0


@KERNELS
def test_half_of_the_light_on_the_edge_stays(kernel):
    # a ray sent to the outer edge of the last cell: half of its spline lies on either side
    light, zero = np.zeros((5, 5), np.float32), np.zeros((5, 5), np.float32)
    light[2, 4] = 1.0
    arrived = np.zeros_like(light)
    kernel(light, zero + np.float32(0.5), zero, arrived, 0)
    assert arrived.sum() == pytest.approx(0.5, rel=1e-6)
    assert arrived[:, 4].sum() == pytest.approx(0.5, rel=1e-6)


def test_python_kernel_agrees_with_the_compiled_one(rng):
    light = rng.random((12, 14)).astype(np.float32)
    dx, dy = rng.uniform(-4, 4, (2, 12, 14)).astype(np.float32)
    arrived = np.zeros((2, 12, 14), np.float32)
    assert rays._deposit(light, dx, dy, arrived[0], 0)
    assert rays._deposit.py_func(light, dx, dy, arrived[1], 0)
    assert np.allclose(*arrived, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("component", [0, 1])
def test_displacement_that_is_not_finite_is_refused(bad, component):
    d = np.zeros((2, 6, 6))
    d[component, 3, 3] = bad
    with pytest.raises(ValueError, match="dx and dy must be finite"):
        deposit(np.ones((6, 6)), *d)


@pytest.mark.parametrize(
    "shapes", [((4, 4), (4, 4), (4, 5)), ((4, 4), (3, 4), (4, 4)), ((4,), (4,), (4,)), ((2, 2, 2),) * 3]
)
def test_shapes_that_do_not_agree_are_refused(shapes):
    with pytest.raises(ValueError, match="must be 2-D and of one shape"):
        deposit(*(np.zeros(shape) for shape in shapes))


def test_arguments_are_left_alone_and_any_layout_will_do(rng):
    light = rng.random((8, 6)).T
    dx, dy = rng.uniform(-1, 1, (2, 6, 8))
    kept = light.copy(), dx.copy(), dy.copy()
    arrived = deposit(light, dx, dy)
    assert arrived.dtype == np.float32
    assert all(np.array_equal(a, b) for a, b in zip((light, dx, dy), kept, strict=True))
    assert np.array_equal(arrived, deposit(light.astype(np.float32, order="C"), dx, dy))


@pytest.mark.parametrize("steepness", [0.0, 0.01, 0.04, 0.3], ids=["one run", "long", "short", "single rays"])
def test_runs_of_rays_arrive_as_rays_one_by_one(rng, steepness):
    rows, columns = 23, rays._LONG + 71
    light = rng.random((rows, columns)).astype(np.float32)
    y, x = np.mgrid[:rows, :columns]
    dx = (0.2 + 3 * steepness * np.sin(0.05 * x + 0.3 * y) / 0.05).astype(np.float32)
    dy = (-1.3 + steepness * np.cos(0.04 * x - 0.2 * y) / 0.04).astype(np.float32)
    expected = one_by_one(light, dx, dy)
    for kernel in (rays._deposit, rays._deposit.py_func):
        arrived = np.zeros_like(light)
        assert kernel(light, dx, dy, arrived, 0)
        assert np.allclose(arrived, expected, atol=1e-5)


def one_by_one(light, dx, dy):
    """Deposit by the definition: each ray's light times the spline at the middle of each cell."""
    rows, columns = light.shape
    arrived = np.zeros((rows, columns))
    for i, j in np.ndindex(rows, columns):
        y, x = i + float(dy[i, j]), j + float(dx[i, j])
        for k in range(math.floor(y + 0.5) - 1, math.floor(y + 0.5) + 2):
            for m in range(math.floor(x + 0.5) - 1, math.floor(x + 0.5) + 2):
                if 0 <= k < rows and 0 <= m < columns:
                    arrived[k, m] += light[i, j] * spline(k - y) * spline(m - x)
    return arrived


def spline(t):
    return 0.75 - t * t if abs(t) <= 0.5 else 0.5 * max(1.5 - abs(t), 0.0) ** 2


@pytest.mark.parametrize("length", [4, 5, 31, 32, 33, 64, 96])
def test_runs_of_any_length_between_others(rng, length):
    columns = length + 12
    light = rng.random((5, columns)).astype(np.float32)
    dx = rng.uniform(-0.49, 0.49, light.shape).astype(np.float32)
    dy = rng.uniform(-0.49, 0.49, light.shape).astype(np.float32)
    dx[:, 3 : 3 + length] += 2
    dy[:, 5 + length :] -= 1
    assert np.allclose(deposit(light, dx, dy), one_by_one(light, dx, dy), atol=1e-5)


@pytest.mark.parametrize("kernel", [rays._deposit, rays._deposit.py_func], ids=["compiled", "python"])
def test_nothing_is_written_beyond_the_grid(kernel, rng):
    around = np.full((18, 50), 7, np.float32)
    grid = around[4:-4]
    grid[:] = 0
    light = np.ones_like(grid)
    for dy in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0):
        assert kernel(light, np.zeros_like(grid), np.full_like(grid, dy), grid, 0)
    assert (around[:4] == 7).all()
    assert (around[-4:] == 7).all()


def test_a_band_of_rays_starts_where_it_is_told_to(rng):
    light, dx, dy = rng.uniform(-1.4, 1.4, (3, 30, 40)).astype(np.float32)
    arrived = np.zeros_like(light)
    for first in range(0, 30, 7):
        rows = slice(first, first + 7)
        rays.deposit_rows(light[rows], dx[rows], dy[rows], first, arrived)
    assert np.allclose(arrived, deposit(light, dx, dy), atol=1e-5)
    with pytest.raises(ValueError, match=r"rays of shape \(7, 40\) from row 24 on do not start on a grid"):
        rays.deposit_rows(light[:7], dx[:7], dy[:7], 24, arrived)


def test_python_kernels_of_runs_agree_with_the_compiled_ones(rng):
    light, dx, dy = rng.random((3, 40)).astype(np.float32)
    aimed = np.zeros((2, rays._LISTS * rays._LONG), np.float32)
    grid = np.zeros((2, 3, 42), np.float32)
    for k in range(2):
        aim, run, each, total = (
            f.py_func if k else f for f in (rays._aim, rays._add_run, rays._add_each, rays._total)
        )
        assert aim(light, 3 * dx, dy, aimed[k])
        run(aimed[k], *grid[k])
        each(aimed[k], 0, 40, 1, 1, grid[k])
        assert total(light) == pytest.approx(light.sum(), rel=1e-6)
        assert not aim(np.ones(2, np.float32), np.float32([1.0, np.nan]), np.zeros(2, np.float32), aimed[k])
        assert not aim(np.ones(2, np.float32), np.float32([1.0, 2e9]), np.zeros(2, np.float32), aimed[k])
    assert grid.max() > 0.5
    assert np.allclose(*grid, atol=1e-6)
    assert np.allclose(*aimed, atol=1e-6)
