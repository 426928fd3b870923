"""Means and extremes over blocks of rays."""

import numpy as np
import pytest

from specksim import blocks


def in_blocks(cells: np.ndarray, n: int) -> np.ndarray:
    rows, columns = (size // n for size in cells.shape)
    return cells.astype(float).reshape(rows, n, columns, n)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 12])
def test_blocks_of_any_size(rng, n):
    cells = rng.normal(size=(3 * n, 7 * n)).astype(np.float32)
    mean, low, high = np.empty((3, 3, 7), np.float32)
    for compute in (
        lambda: blocks.block_mean(cells, n, 0.5, mean),
        lambda: blocks.block_mean_and_range(cells, n, 0.5, mean, low, high),
    ):
        mean[:] = np.nan
        compute()
        assert np.allclose(mean, 0.5 * in_blocks(cells, n).mean((1, 3)), atol=1e-6)
    assert np.array_equal(low, (0.5 * in_blocks(cells, n).min((1, 3))).astype(np.float32))
    assert np.array_equal(high, (0.5 * in_blocks(cells, n).max((1, 3))).astype(np.float32))


@pytest.mark.parametrize("n", [3, 4])
def test_python_kernels_agree_with_the_compiled_ones(rng, monkeypatch, n):
    cells = rng.normal(size=(2 * n, 3 * n)).astype(np.float32)
    out = np.empty((2, 3, 2, 3), np.float32)
    names = [name for name, value in vars(blocks).items() if hasattr(value, "py_func")]
    for k in range(2):
        blocks.block_mean_and_range(cells, n, 1.0, *out[k])
        for name in names if k == 0 else ():
            monkeypatch.setattr(blocks, name, getattr(blocks, name).py_func)
    assert {"_mean", "_largest"} <= set(names)
    assert np.allclose(*out, atol=1e-6)
