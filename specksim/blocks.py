"""From the ray grid to detector pixels: what is over a block of n × n cells.

Rows are combined into rows of another array, never in place: only so are the loops compiled to vector
instructions.
"""

import numpy as np

from specksim.compiled import kernel


def block_mean(cells: np.ndarray, n: int, scale: float, out: np.ndarray) -> None:
    """Write the mean over each block of n × n cells, times `scale`."""
    _block_mean(np.ascontiguousarray(cells), n, scale, out)


def block_mean_and_range(
    cells: np.ndarray, n: int, scale: float, mean: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Write the mean, the smallest and the largest value in each block of n × n cells, times `scale` > 0."""
    _block_mean_and_range(np.ascontiguousarray(cells), n, scale, mean, low, high)


@kernel
def _block_mean(cells, n, scale, out):
    one, other, fours = np.empty_like(cells[0]), np.empty_like(cells[0]), np.empty_like(cells[0])
    for i in range(out.shape[0]):
        _mean(cells[i * n : i * n + n], np.float32(scale / (n * n)), one, other, fours, out[i])


@kernel
def _block_mean_and_range(cells, n, scale, mean, low, high):
    """All three of a row of blocks at a time, while it is in the cache."""
    one, other, fours = np.empty_like(cells[0]), np.empty_like(cells[0]), np.empty_like(cells[0])
    for i in range(mean.shape[0]):
        rows = cells[i * n : i * n + n]
        _mean(rows, np.float32(scale / (n * n)), one, other, fours, mean[i])
        _largest(rows, np.float32(-1.0), np.float32(-scale), one, other, fours, low[i])
        _largest(rows, np.float32(1.0), np.float32(scale), one, other, fours, high[i])


@kernel
def _mean(rows, factor, one, other, fours, out):
    """Sum over each block of a row of blocks, times `factor`; `one`, `other` and `fours` are scratch rows."""
    n, total = rows.shape[0], rows[0]
    for k in range(1, n):
        sums = one if k % 2 else other
        _sum(total, rows[k], sums)
        total = sums
    width = n
    if n % 4 == 0:
        _sum_of_fours(total, fours)
        total, width = fours, n // 4
    for j in range(out.shape[0]):
        whole = total[j * width]
        for m in range(j * width + 1, j * width + width):
            whole += total[m]
        out[j] = factor * whole


@kernel
def _largest(rows, sign, factor, one, other, fours, out):
    """Largest of `sign` times the values in each block of a row of blocks, times `factor`."""
    n, most = rows.shape[0], one
    _signed(rows[0], sign, most)
    for k in range(1, n):
        larger = other if k % 2 else one
        _larger(most, rows[k], sign, larger)
        most = larger
    width = n
    if n % 4 == 0:
        _largest_of_fours(most, fours)
        most, width = fours, n // 4
    for j in range(out.shape[0]):
        top = most[j * width]
        for m in range(j * width + 1, j * width + width):
            top = most[m] if most[m] > top else top
        out[j] = factor * top


@kernel
def _sum(row, other, out):
    for j in range(out.shape[0]):
        out[j] = row[j] + other[j]


@kernel
def _sum_of_fours(row, out):
    for j in range(row.shape[0] // 4):
        out[j] = (row[4 * j] + row[4 * j + 1]) + (row[4 * j + 2] + row[4 * j + 3])


@kernel
def _signed(row, sign, out):
    for j in range(out.shape[0]):
        out[j] = sign * row[j]


@kernel
def _larger(row, other, sign, out):
    for j in range(out.shape[0]):
        value = sign * other[j]
        out[j] = row[j] if row[j] > value else value


@kernel
def _largest_of_fours(row, out):
    for j in range(row.shape[0] // 4):
        a, b, c, d = row[4 * j], row[4 * j + 1], row[4 * j + 2], row[4 * j + 3]
        a, c = (a if a > b else b), (c if c > d else d)
        out[j] = a if a > c else c
