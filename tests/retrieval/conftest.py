"""Speckle images whose displacement is known in closed form, made as the forward model makes them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from specksim import detector, seeds
from specksim.optics import rays
from specksim.sandpaper import SpeckleField, cut, draw_places, simulate_field
from specksim.setups import Setup

SIDE, MARGIN = 128, 16


@dataclass(frozen=True)
class Known:
    """Images (K, H, W) and what moved them, on the reference's grid."""

    reference: np.ndarray
    sample: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    transmission: np.ndarray


Field = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="session")
def tracked_setup() -> Setup:
    return Setup().with_values(
        detector__rows=SIDE, detector__columns=SIDE, detector__photons_per_pixel=float("inf")
    )


@pytest.fixture(scope="session")
def tracked_field(tracked_setup: Setup) -> SpeckleField:
    return simulate_field(tracked_setup, seeds.field_rng(0, "training", 0))


@pytest.fixture(scope="session")
def moved(tracked_setup: Setup, tracked_field: SpeckleField) -> Callable[..., Known]:
    """Make a pair: `moved(displacement, transmission=..., exposures=..., photons=..., blur_px=...)`.

    `displacement(y, x)` gives (dx, dy) in detector pixels, coordinates from the frame's middle.
    """
    n = tracked_setup.numerics.oversampling
    size = (SIDE + 2 * MARGIN) * n
    place = (np.arange(size) + 0.5) / n - MARGIN - SIDE / 2
    y, x = np.meshgrid(place, place, indexing="ij")

    def make(
        displacement: Field,
        *,
        transmission: Callable[[np.ndarray, np.ndarray], np.ndarray] | float = 1.0,
        exposures: int = 1,
        photons: float = np.inf,
        blur_px: float = 0.0,
        seed: int = 0,
    ) -> Known:
        dx, dy = (np.broadcast_to(part, y.shape).astype(np.float32) for part in displacement(y, x))
        through = transmission(y, x) if callable(transmission) else transmission
        through = np.broadcast_to(through, y.shape).astype(np.float32)
        rng = np.random.default_rng(seed)
        places = draw_places(tracked_field, y.shape, exposures, rng)
        speckles = [cut(tracked_field.intensity, place, y.shape) for place in places]

        def image(light: np.ndarray, deposited: bool, more_px: float = 0.0) -> np.ndarray:
            sigma = float(np.hypot(tracked_setup.blur_px, more_px))
            taps = detector.blur_taps(sigma, n, deposited)
            expected = detector.expected_image(light, taps, n, (SIDE, SIDE))
            return expected if np.isinf(photons) else rng.poisson(photons * expected).astype(np.float32)

        references = [image(speckle, False) for speckle in speckles]
        samples = [
            image(rays.deposit(speckle * through, n * dx, n * dy), True, blur_px) for speckle in speckles
        ]
        mean = [
            detector.bin_mean(np.ascontiguousarray(cells), n, (SIDE, SIDE)) for cells in (dx, dy, through)
        ]
        return Known(np.stack(references), np.stack(samples), *mean)

    return make


def constant(dx: float, dy: float) -> Field:
    """The same everywhere."""
    return lambda y, x: (np.full_like(x, dx), np.full_like(y, dy))


def lens(strongest_px: float, width_px: float) -> Field:
    """A Gaussian lens that spreads light: d points away from its centre and is largest at `width_px`."""

    def displacement(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fall = strongest_px / width_px * np.exp(0.5 - (x**2 + y**2) / (2 * width_px**2))
        return fall * x, fall * y

    return displacement


def waves(dx: float, dy: float, length_px: float = 240.0) -> Field:
    """Smooth, different along both axes, at most dx and dy."""
    k = 2 * np.pi / length_px
    return lambda y, x: (dx * np.sin(k * (x + 0.5 * y) + 0.7), dy * np.cos(k * (y - 0.3 * x)))
