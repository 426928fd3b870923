"""Images of any size through a network that wants multiples of 16: padding, and tiles that overlap.

A tile gives what the whole image would, if it begins at a multiple of the network's coarsest cell and only
those pixels of it are kept whose surroundings, as far as the network looks, lie in the tile or are the border
of the image itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MULTIPLE = 16
"""Rows and columns that a network takes are multiples of this: four poolings by two."""


@dataclass(frozen=True)
class Span:
    """A tile along one axis: it reads `start` … `start` + window, and gives `first` … `stop`."""

    start: int
    first: int
    stop: int


def plan_spans(size: int, tile: int, overlap: int) -> tuple[int, list[Span]]:
    """Fewest equal windows along one axis of an image.

    Parameters
    ----------
    size : int
        Pixels along the axis, a multiple of 16.
    tile : int
        Largest window, pixels, a multiple of 16.
    overlap : int
        Pixels around a window's result that it reads in addition, except at the image's border.

    Returns
    -------
    window : int
        Pixels that each window reads, a multiple of 16, <= `tile`.
    spans : list of Span
        In order; their results cover the axis once.

    Raises
    ------
    ValueError
        If the tile is not a multiple of 16, or leaves no result between its overlaps.
    """
    if size <= tile:
        return size, [Span(0, 0, size)]
    overlap = _rounded_up(overlap)
    if tile % MULTIPLE or tile < 2 * overlap + MULTIPLE:
        raise ValueError(
            f"tile must be a multiple of {MULTIPLE} and >= {2 * overlap + MULTIPLE} "
            f"(twice the overlap of {overlap} px, and a result), got {tile}"
        )
    count = -(-(size - 2 * overlap) // (tile - 2 * overlap))
    window = _rounded_up(-(-(size + 2 * overlap * (count - 1)) // count))
    starts = [*(k * (window - 2 * overlap) for k in range(count - 1)), size - window]
    edges = [0, *(start + window - overlap for start in starts[:-1]), size]
    return window, [Span(*span) for span in zip(starts, edges[:-1], edges[1:], strict=True)]


def predict_tiled(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, tile: int, overlap: int
) -> np.ndarray:
    """Result of a network for an image of any size.

    Parameters
    ----------
    predict : callable
        (1, H, W, C) to (1, H, W, D) float32, H and W multiples of 16.
    images : (H, W, C) float32
    tile : int
        Largest tile along either axis, pixels, a multiple of 16; a smaller image goes through in one piece.
    overlap : int
        How far around a pixel the network looks, pixels.

    Returns
    -------
    (H, W, D) float32

    Raises
    ------
    ValueError
        If the image is smaller than 16 pixels along an axis, or as `plan_spans`.
    """
    height, width = images.shape[:2]
    if min(height, width) < MULTIPLE:
        raise ValueError(
            f"images must have {MULTIPLE} or more pixels along each axis, got {height} × {width}"
        )
    missing = [(0, _rounded_up(size) - size) for size in (height, width)]
    padded = np.pad(images, (*missing, (0, 0)), mode="reflect")
    rows, row_spans = plan_spans(padded.shape[0], tile, overlap)
    columns, column_spans = plan_spans(padded.shape[1], tile, overlap)
    result = None
    for row in row_spans:
        for column in column_spans:
            part = padded[row.start : row.start + rows, column.start : column.start + columns]
            values = predict(part[np.newaxis])[0]
            if result is None:
                result = np.empty((*padded.shape[:2], values.shape[-1]), np.float32)
            result[row.first : row.stop, column.first : column.stop] = values[
                row.first - row.start : row.stop - row.start,
                column.first - column.start : column.stop - column.start,
            ]
    assert result is not None  # there is at least one span along each axis
    return result[:height, :width]


def _rounded_up(size: int) -> int:
    return -(-size // MULTIPLE) * MULTIPLE
