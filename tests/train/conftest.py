"""What all tests of the trainer need: Keras warns with NumPy 2 whenever a weight of TensorFlow is read."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(
                pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
            )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small data sets: 64 × 64 pixels, training, validation, and one without noise."""
    from specksim import Setup, generate

    folder = tmp_path_factory.mktemp("tiny")
    setup = Setup.load("imbl-28kev").with_values(detector__rows=64, detector__columns=64)
    noiseless = setup.with_values(detector__photons_per_pixel=float("inf"))
    return {
        "training": generate(folder / "training.h5", setup, n=6),
        "validation": generate(folder / "validation.h5", setup, n=2, split="validation"),
        "noiseless": generate(folder / "noiseless.h5", noiseless, n=2),
        "wide": generate(folder / "wide.h5", setup.with_values(detector__columns=80), n=1),
    }
