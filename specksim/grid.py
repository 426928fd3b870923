"""Sampling grids in the object plane."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Regular points in the object plane, (row, column) = (y, x), centred on the frame's centre.

    Attributes
    ----------
    rows, columns : int
        Number of points along y (downwards) and x (to the right).
    pitch_m : float
        Distance between neighbouring points, m.
    """

    rows: int
    columns: int
    pitch_m: float

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    @property
    def y_m(self) -> np.ndarray:
        """Coordinates of the rows, (rows,) float64, m."""
        return (np.arange(self.rows) - 0.5 * (self.rows - 1)) * self.pitch_m

    @property
    def x_m(self) -> np.ndarray:
        """Coordinates of the columns, (columns,) float64, m."""
        return (np.arange(self.columns) - 0.5 * (self.columns - 1)) * self.pitch_m

    @property
    def origin_m(self) -> tuple[float, float]:
        """(y, x) of the point at row 0, column 0, m."""
        return -0.5 * (self.rows - 1) * self.pitch_m, -0.5 * (self.columns - 1) * self.pitch_m
