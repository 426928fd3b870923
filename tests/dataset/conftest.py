"""A small data set, made once; tests that change it work on a copy."""

import shutil
from pathlib import Path

import h5py
import pytest

from specksim import generate
from specksim.setups import Setup


@pytest.fixture(scope="session")
def tiny_setup() -> Setup:
    return Setup().with_values(
        detector__rows=32, detector__columns=40, diffuser__sheets=1, numerics__pairs_per_field=3
    )


@pytest.fixture(scope="session")
def tiny(tiny_setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pairs in two shards, two positions of the sandpaper, three materials."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.h5"
    return generate(path, tiny_setup, material="mixed", geometries=["sphere"], n=5, steps=2, seed=4)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny, tmp_path / "copy.h5"))


@pytest.fixture
def opened(copy: Path):
    """The copy, open for changes through h5py; close it before it is read."""
    with h5py.File(copy, "r+") as file:
        yield file
