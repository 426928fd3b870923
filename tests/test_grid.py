"""The points of a grid lie where its head says: (y, x), centred."""

import numpy as np
import pytest

from specksim.grid import Grid
from specksim.setups import Setup


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (1, 1), (8, 5)])
def test_coordinates_are_centred_and_start_at_the_origin(rows, columns):
    grid = Grid(rows, columns, 2e-6)
    assert grid.shape == (len(grid.y_m), len(grid.x_m)) == (rows, columns)
    assert (grid.y_m[0], grid.x_m[0]) == grid.origin_m
    assert np.abs(grid.y_m + grid.y_m[::-1]).max() < 1e-20
    assert np.abs(grid.x_m + grid.x_m[::-1]).max() < 1e-20
    assert np.allclose(np.diff(grid.x_m), 2e-6, rtol=1e-12)


def test_ray_nodes_are_the_corners_of_the_frame_and_its_margin():
    setup = Setup().with_values(detector__rows=16, detector__columns=20, numerics__oversampling=3)
    nodes = setup.ray_nodes(2)
    assert nodes.shape == (20 * 3 + 1, 24 * 3 + 1)
    assert nodes.origin_m == pytest.approx((-10 * 9.9e-6, -12 * 9.9e-6), rel=1e-12)
