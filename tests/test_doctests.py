"""Examples in docstrings, run as they stand."""

import doctest
import shutil
from importlib import import_module

import pytest

MODULES = (
    "specksim.benchmark.tables",
    "specksim.dataset.reader",
    "specksim.forward",
    "specksim.materials",
    "specksim.phantoms.registry",
    "specksim.retrieval.registry",
    "specksim.setups",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name, tmp_path, monkeypatch, nylon):
    shutil.copy(nylon, tmp_path / "nylon.h5")
    monkeypatch.chdir(tmp_path)
    run = doctest.testmod(import_module(name), verbose=False)
    assert run.attempted > 0
    assert run.failed == 0  # what failed is printed


@pytest.fixture(scope="module")
def nylon(tmp_path_factory):
    from specksim import Setup, generate

    setup = Setup().with_values(detector__rows=32, detector__columns=32, diffuser__sheets=1)
    return generate(tmp_path_factory.mktemp("examples") / "nylon.h5", setup, n=4)


def test_every_module_with_an_example_is_in_the_list():
    from tests.test_architecture import MODULES as FILES

    written = [name for name, path in FILES.items() if ">>> " in path.read_text(encoding="utf-8")]
    assert written == list(MODULES)
