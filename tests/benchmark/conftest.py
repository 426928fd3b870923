import pytest

from specksim import detector
from specksim.setups import Setup
from specksim.tracing import mean_refraction, refract, trace_object


@pytest.fixture(scope="session")
def setup():
    """256 × 256 pixels of 9.9 µm."""
    return Setup.load("imbl-28kev")


@pytest.fixture(scope="session")
def labels():
    """The exact labels of a scene, (dx, dy), px, without any image."""

    def of(scene, setup):
        truth = mean_refraction(refract(setup, trace_object(setup, scene)[0]))
        shape, oversampling = setup.detector.shape, setup.numerics.oversampling
        return tuple(
            detector.bin_mean(part, oversampling, shape).astype(float) / oversampling
            for part in (truth.dx, truth.dy)
        )

    return of
