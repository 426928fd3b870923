"""The networks among the methods of specksim."""

import subprocess
import sys

import numpy as np
import pytest

import specksim
from specksim.benchmark.methods import Entrant
from specksim.retrieval import find_method, method_names, retrieve
from specksim.retrieval.registry import MethodUnavailable
from specksim_train import inference, method
from specksim_train.method import shipped_for, unet
from tests.train.networks import windowed_shifts

pytestmark = pytest.mark.filterwarnings("ignore::specksim_train.inference.OutsideTraining")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "own.keras"
    windowed_shifts().save(path)
    return path


@pytest.fixture(scope="module")
def pair():
    setup = specksim.Setup().with_values(detector__rows=48, detector__columns=48)
    return specksim.simulate(setup, seed=1)


def test_the_network_is_a_method(model, pair):
    assert "unet" in method_names()
    assert find_method("unet").summary == "Displacement and transmission by a trained network."
    setup = specksim.Setup()
    result = retrieve(f"unet:{model}", pair.reference[0], pair.sample[0], setup=setup, tile=48)
    own = inference.load(model).predict(pair.reference[0], pair.sample[0], setup=setup, tile=48)
    np.testing.assert_array_equal(result.dx, own.dx)
    np.testing.assert_array_equal(result.phase, own.phase)
    with pytest.raises(ValueError, match="no option 'window'"):
        retrieve(f"unet:{model}", pair.reference[0], pair.sample[0], window=5)


def test_the_benchmark_knows_its_weights(model):
    setup = specksim.Setup()
    assert Entrant.parse(f"unet:{model}").model_path(setup) == model
    for text in ("unet", "unet@tile=48", f"unet:{shipped_for(setup)}"):
        assert Entrant.parse(text).model_path(setup) == inference.shipped()[shipped_for(setup)]
    assert Entrant.parse("umpa").model_path(setup) is None


def test_a_model_is_loaded_in_a_process_that_has_built_none(model):
    script = f"import specksim_train; print(specksim_train.load({str(model)!r}).radius_px)"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(made.stdout) > 0


def test_a_model_is_loaded_once(model, pair, monkeypatch):
    method._network.cache_clear()
    loads = []
    monkeypatch.setattr(inference, "load", lambda name, load=inference.load: loads.append(name) or load(name))
    for _ in range(2):
        unet(pair.reference[0], pair.sample[0], model=str(model))
    assert loads == [str(model)]


def test_what_is_missing_is_said_in_one_line(pair, monkeypatch, tmp_path):
    images = pair.reference[0], pair.sample[0]
    with pytest.raises(MethodUnavailable, match=r"unet.*run folder must hold best\.keras"):
        unet(*images, model=str(tmp_path))
    with pytest.raises(MethodUnavailable, match=r"model must be a run folder, a \.keras file"):
        unet(*images, model="nobody")
    monkeypatch.setattr(inference, "shipped", dict)
    with pytest.raises(MethodUnavailable, match=r"no shipped network \(there are: none yet\).*unet:RUN"):
        unet(*images, setup=specksim.Setup())
    monkeypatch.setattr("specksim_train.loading.find_spec", lambda name: None)
    with pytest.raises(
        MethodUnavailable, match=r"'unet' needs Keras and \w+: pip install 'specksim\[train\]'"
    ):
        unet(*images, model="any")


def test_the_shipped_network_of_a_setup(monkeypatch):
    names = ("imbl-28kev-guided", "imbl-28kev-unet", "lab-2m", "i12-53kev-guided", "other")
    monkeypatch.setattr(inference, "shipped", lambda: dict.fromkeys(names))
    default = specksim.Setup()
    assert shipped_for(default) == "imbl-28kev-guided"
    assert shipped_for(default.with_values(detector__photons_per_pixel=100.0, diffuser__sheets=1)) == (
        "imbl-28kev-guided"
    )
    assert shipped_for(default.with_values(detector__pixel_size_um=6.6)) == "imbl-28kev-guided"
    assert shipped_for(specksim.Setup.load("lab-2m")) == "lab-2m"
    for setup in (None, specksim.Setup.load("id17-52kev"), specksim.Setup.load("mct-25kev")):
        with pytest.raises(MethodUnavailable, match=r"there are: imbl-28kev-guided, .*\) is for this setup"):
            shipped_for(setup)


def test_errors_of_the_backend_are_those_of_a_pair(monkeypatch, model, pair):
    class ResourceExhaustedError(Exception):
        __module__ = "tensorflow.python.framework.errors_impl"

    class Other(Exception):
        pass

    for error, seen in ((ResourceExhaustedError("no memory"), RuntimeError), (Other("why"), Other)):

        class Broken:
            def predict(self, *images, error=error, **options):
                raise error

        monkeypatch.setattr(method, "_network", lambda name, broken=Broken: broken())
        with pytest.raises(seen):
            unet(pair.reference[0], pair.sample[0], model="any")


def test_the_method_is_found_without_keras():
    script = "import sys, specksim.retrieval as r; r.find_method('unet'); print('keras' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "False"
