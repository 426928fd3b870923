"""From the ray grid to detector pixels: what is over a block of n × n cells.

Rows are combined into rows of another array, never in place: only so are the loops compiled to vector
instructions.
"""

import numpy as np

from specksim.compiled import kernel


def block_mean(cells: np.ndarray, n: int, scale: float, out: np.ndarray) -> None:
    """Write the mean over each block of n × n cells, times `scale`."""
    _block_mean(np.ascontiguousarray(cells), n, scale, out)


def block_range(cells: np.ndarray, n: int, scale: float, low: np.ndarray, high: np.ndarray) -> None:
    """Write the smallest and largest value in each block of n × n cells, times `scale`, which is > 0."""
    cells = np.ascontiguousarray(cells)
    for sign, out in ((-1.0, low), (1.0, high)):
        _block_largest(cells, n, np.float32(sign), scale, out)


@kernel
def _block_mean(cells, n, scale, out):
    factor = np.float32(scale / (n * n))
    one, other, fours = np.empty_like(cells[0]), np.empty_like(cells[0]), np.empty_like(cells[0])
    for i in range(out.shape[0]):
        total = cells[i * n]
        for k in range(1, n):
            sums = one if k % 2 else other
            _sum(total, cells[i * n + k], sums)
            total = sums
        width = n
        if n % 4 == 0:
            _sum_of_fours(total, fours)
            total, width = fours, n // 4
        row = out[i]
        for j in range(row.shape[0]):
            whole = total[j * width]
            for m in range(j * width + 1, j * width + width):
                whole += total[m]
            row[j] = factor * whole


@kernel
def _block_largest(cells, n, sign, scale, out):
    """Largest value in each block times `scale`; the smallest if `sign` is −1 in place of 1."""
    factor = np.float32(scale * sign)
    one, other, fours = np.empty_like(cells[0]), np.empty_like(cells[0]), np.empty_like(cells[0])
    for i in range(out.shape[0]):
        most = one
        _signed(cells[i * n], sign, most)
        for k in range(1, n):
            larger = other if k % 2 else one
            _larger(most, cells[i * n + k], sign, larger)
            most = larger
        width = n
        if n % 4 == 0:
            _largest_of_fours(most, fours)
            most, width = fours, n // 4
        row = out[i]
        for j in range(row.shape[0]):
            top = most[j * width]
            for m in range(j * width + 1, j * width + width):
                top = most[m] if most[m] > top else top
            row[j] = factor * top


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
        a, c = a if a > b else b, c if c > d else d
        out[j] = a if a > c else c
