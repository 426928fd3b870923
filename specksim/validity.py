"""Where ray optics can be trusted."""

import math

import numpy as np

from specksim.compiled import kernel
from specksim.setups import Setup

STEEP_LABEL_PX = 0.3  # variation of the label beyond which ray optics is not trusted


def fringe_reach_px(setup: Setup) -> float:
    """How far the fringes of a rim reach, 3 · max(√(λ z / M), p / M) in the object plane, detector pixels."""
    fringe_m = math.sqrt(setup.wavelength_m * setup.effective_distance_m)
    return 3 * max(fringe_m / setup.object_pixel_m, 1.0)


def valid_pixels(setup: Setup, ranges: np.ndarray, margin_px: int) -> np.ndarray:
    """Where ray optics can be trusted.

    Parameters
    ----------
    setup : Setup
    ranges : (2, 2, rows, columns) float32
        Smallest and largest displacement within each pixel, along columns, then along rows, detector pixels,
        over the frame and its margin.
    margin_px : int
        The margin, detector pixels.

    Returns
    -------
    (H, W) uint8
        0 where the displacement varies by more than 0.3 px within a pixel and its eight neighbours, and
        within 3 · max(√(λ z / M), p / M) of such a place (all lengths in the object plane); 1 elsewhere.
    """
    least, most = (
        _over_neighbours(extreme, ranges[:, k]) for k, extreme in enumerate((np.minimum, np.maximum))
    )
    steep = np.logical_or(*(most - least > STEEP_LABEL_PX))
    valid = np.ones(steep.shape, np.uint8)
    if steep.any():
        _spread(steep, fringe_reach_px(setup), valid)
    frame = slice(margin_px, -margin_px)
    return valid[frame, frame].copy()


def _over_neighbours(extreme: np.ufunc, values: np.ndarray) -> np.ndarray:
    """`np.minimum` or `np.maximum` of each value and its eight neighbours along the last two axes."""
    for axis in (-2, -1):
        out = values.copy()
        along, source = np.moveaxis(out, axis, 0), np.moveaxis(values, axis, 0)
        extreme(along[1:], source[:-1], out=along[1:])
        extreme(along[:-1], source[1:], out=along[:-1])
        values = out
    return values


@kernel
def _spread(steep, reach, valid):
    """Set `valid` to 0 within a distance of the steep places."""
    rows, columns = steep.shape
    away = np.empty((rows, columns), np.int32)  # to the next steep place of the same row
    for i in range(rows):
        gap = columns
        for j in range(columns):
            gap = 0 if steep[i, j] else gap + 1
            away[i, j] = gap
        gap = columns
        for j in range(columns - 1, -1, -1):
            gap = 0 if steep[i, j] else gap + 1
            away[i, j] = min(away[i, j], gap)
    most = int(reach)
    for i in range(rows):
        row = valid[i]
        for k in range(max(i - most, 0), min(i + most + 1, rows)):
            half = np.int32(np.sqrt(reach * reach - (k - i) ** 2))
            other = away[k]
            for j in range(columns):
                row[j] = 0 if other[j] <= half else row[j]
