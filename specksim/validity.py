"""Where ray optics can be trusted."""

import math

import numpy as np
from scipy import ndimage

from specksim.compiled import kernel
from specksim.setups import Setup

STEEP_LABEL_PX = 0.3  # variation of the label beyond which ray optics is not trusted


def fringe_reach_px(setup: Setup) -> float:
    """How far the fringes of a rim reach, 3 · max(√(λ z / M), p / M) in the object plane, detector pixels."""
    fringe_m = math.sqrt(setup.wavelength_m * setup.effective_distance_m)
    return 3 * max(fringe_m / setup.object_pixel_m, 1.0)


def valid_mask(setup: Setup, dx: np.ndarray, dy: np.ndarray, margin_px: int) -> np.ndarray:
    """Where ray optics can be trusted.

    Parameters
    ----------
    setup : Setup
    dx, dy : (H', W') float32
        Displacement on the ray grid, in its cells, over the frame and its margin.
    margin_px : int
        The margin, detector pixels.

    Returns
    -------
    (H, W) uint8
        0 where the displacement varies by more than 0.3 px within a pixel and its eight neighbours, and
        within 3 · max(√(λ z / M), p / M) of such a place (all lengths in the object plane); 1 elsewhere.
    """
    n = setup.numerics.oversampling
    spread = np.zeros((dx.shape[0] // n, dx.shape[1] // n), np.float32)
    for component in (dx, dy):
        low, high = np.empty((2, *spread.shape), np.float32)
        _block_range(component, n, low, high)
        variation = ndimage.maximum_filter(high, 3) - ndimage.minimum_filter(low, 3)
        np.maximum(spread, variation / np.float32(n), out=spread)
    steep = spread > STEEP_LABEL_PX
    if steep.any():
        steep = ndimage.distance_transform_edt(~steep) <= fringe_reach_px(setup)
    frame = slice(margin_px, -margin_px)
    return (~steep[frame, frame]).astype(np.uint8)


@kernel
def _block_range(cells, n, low, high):
    """Smallest and largest value in each block of n × n cells."""
    for i in range(low.shape[0]):
        for j in range(low.shape[1]):
            smallest = largest = cells[i * n, j * n]
            for a in range(n):
                for b in range(n):
                    value = cells[i * n + a, j * n + b]
                    smallest = min(smallest, value)
                    largest = max(largest, value)
            low[i, j] = smallest
            high[i, j] = largest
