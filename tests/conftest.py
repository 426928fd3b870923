"""Fixtures that several test files share: a small detector, and one speckle field for it."""

from pathlib import Path

import hypothesis
import numpy as np
import pytest
from scipy import ndimage, optimize

from specksim import seeds
from specksim.generation import run_plan
from specksim.phantoms import registry
from specksim.sandpaper import SpeckleField, simulate_field
from specksim.setups import Setup
from tests.runs import plan

# examples are the same in every run, and compiling a kernel may take as long as it takes
hypothesis.settings.register_profile(
    "specksim", deadline=None, derandomize=True, database=None, max_examples=30
)
hypothesis.settings.load_profile("specksim")


@pytest.fixture(scope="session")
def small_setup() -> Setup:
    """The default beamline with a frame of 64 × 64 pixels and no photon noise."""
    return Setup().with_values(
        detector__rows=64, detector__columns=64, detector__photons_per_pixel=float("inf")
    )


@pytest.fixture(scope="session")
def small_field(small_setup: Setup) -> SpeckleField:
    """A speckle field for `small_setup`."""
    return simulate_field(small_setup, seeds.field_rng(0, "training", 0))


@pytest.fixture(scope="session")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pairs in three shards, made in this process without a break."""
    path = tmp_path_factory.mktemp("seven") / "seven.h5"
    run_plan(plan(path))
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


class Wedge:
    """T rising linearly in the direction of (slope_x, slope_y), thick enough to be positive everywhere."""

    def thickness(self, scene, grid):
        slope = scene["slope_x"] * grid.x_m[None, :] + scene["slope_y"] * grid.y_m[:, None]
        return {scene["material"]: (slope + scene["middle_m"]).astype(np.float32)}

    def draw(self, rng, setup):
        return {"slope_x": 0.0, "slope_y": 0.0, "middle_m": 0.0}


@pytest.fixture
def wedge(monkeypatch):
    monkeypatch.setitem(registry._BUILT_IN, "wedge", Wedge())

    def scene(slope_x, slope_y, middle_m=10e-3):
        slopes = {"slope_x": slope_x, "slope_y": slope_y, "middle_m": middle_m}
        return {"geometry": "wedge", "material": "nylon", **slopes}

    return scene


def shift_between(reference, sample, start):
    """(dx, dy) and brightness with sample(x + d) = brightness · reference(x), by least squares."""
    inner = (slice(8, -8), slice(8, -8))

    def residual(parameters):
        dx, dy, brightness = parameters
        moved = ndimage.shift(reference.astype(float), (dy, dx), order=5, mode="nearest")
        return (brightness * moved - sample)[inner].ravel()

    return optimize.least_squares(residual, (*start, 1.0)).x
