"""Names, types and shapes of the fields."""

import math

import numpy as np
import pytest

from specksim.dataset import schema
from specksim.setups import Setup


def setup(photons: float) -> Setup:
    return Setup().with_values(detector__rows=20, detector__columns=30, detector__photons_per_pixel=photons)


@pytest.mark.parametrize(
    ("photons", "dtype", "units"),
    [
        (2000.0, np.uint16, "counts"),
        (1.0, np.uint16, "counts"),
        (1e5, np.uint32, "counts"),
        (math.inf, np.float32, "relative"),
    ],
)
def test_images_are_as_wide_as_their_counts(photons, dtype, units):
    by_name = {field.name: field for field in schema.fields(setup(photons))}
    for name in ("reference", "sample"):
        assert by_name[name].dtype is dtype
        assert by_name[name].units == units


def test_a_bright_speckle_fits_into_the_counts():
    for photons in (2000.0, 2047.0, 2048.0, 65535.0, 1e6):
        largest = np.iinfo(schema.fields(setup(photons))[0].dtype).max
        assert largest > 10 * photons + 10 * math.sqrt(10 * photons)


def test_truth_does_not_depend_on_the_photons():
    few, many, none = (schema.fields(setup(photons))[2:] for photons in (10.0, 1e6, math.inf))
    assert few == many == none
    assert [(f.name, f.dtype, f.units) for f in few] == [
        ("dx", np.float32, "pixel"),
        ("dy", np.float32, "pixel"),
        ("phase", np.float32, "radian"),
        ("transmission", np.float32, ""),
        ("valid", np.uint8, ""),
    ]


def test_rows_are_frames_and_images_have_positions():
    shapes = {field.name: schema.row_shape(field, setup(10.0), 3) for field in schema.fields(setup(10.0))}
    assert shapes["reference"] == shapes["sample"] == (3, 20, 30)
    assert {shapes[name] for name in ("dx", "dy", "phase", "transmission", "valid")} == {(20, 30)}


def test_the_size_of_a_pair():
    assert schema.pair_bytes(setup(10.0), 1) == 20 * 30 * (2 + 2 + 4 * 4 + 1)
    assert schema.pair_bytes(setup(math.inf), 2) == 20 * 30 * (2 * 8 + 4 * 4 + 1)
