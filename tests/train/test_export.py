"""Exported networks agree with Keras, for any size and number of images."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import layers

import specksim_train.export as module
from specksim_train.architectures import build
from specksim_train.export import FORMATS, export, largest_difference, require_packages
from specksim_train.layers import Channels


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    counts = keras.Input((None, None, 2))
    skip = layers.Conv2D(4, 3, padding="same", activation="relu")(Channels(0, 2, scale=1e-3)(counts))
    x = layers.Conv2DTranspose(4, 2, strides=2)(layers.MaxPooling2D()(skip))
    return keras.Model(counts, layers.Conv2D(2, 1)(layers.Concatenate()([skip, x])))


pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # tf2onnx asks NumPy for names of old
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def needs(file_format):
    missing = [name for name in module._NEEDED[file_format] if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


BOTH = [pytest.param(name, marks=needs(name)) for name in FORMATS]


@pytest.mark.parametrize("file_format", BOTH)
def test_exported_model_agrees(tmp_path, model, file_format):
    target = tmp_path / "network"
    assert export(model, target, file_format=file_format) <= 1e-4
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(FileExistsError, match="overwrite"):
        export(model, target, file_format=file_format)
    export(model, target, file_format=file_format, overwrite=True)
    run = module._OPENERS[file_format](target)
    images = np.random.default_rng(0).poisson(500, (3, 80, 32, 2)).astype(np.float32)
    np.testing.assert_allclose(run(images), model(images), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["unet", "guided-unet"])
@pytest.mark.parametrize("file_format", BOTH)
def test_every_architecture_can_be_exported(tmp_path, architecture, file_format):
    keras.utils.set_random_seed(0)
    assert export(build(architecture, 4), tmp_path / "network", file_format=file_format) <= 1e-4


@needs("saved_model")
def test_a_model_that_differs_is_not_kept(tmp_path, model, monkeypatch):
    monkeypatch.setattr(module, "largest_difference", lambda *_: 2e-4)
    with pytest.raises(RuntimeError, match=r"must agree with Keras within 0.0001 px, got 0.0002 px"):
        export(model, tmp_path / "network", file_format="saved_model")
    monkeypatch.setattr(module, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(RuntimeError, match="got nan px"):
        export(model, tmp_path / "network", file_format="saved_model")
    assert list(tmp_path.iterdir()) == []


def test_difference_is_the_largest(model):
    assert largest_difference(model, lambda images: np.asarray(model(images))) == 0.0

    def wrong(images):
        result = np.array(model(images))
        result[0, 3, 5, 1] += 0.25
        return result

    assert largest_difference(model, wrong) == pytest.approx(0.25, abs=1e-5)
    assert np.isnan(largest_difference(model, lambda images: np.full_like(images, np.nan)))


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "onnx" in name else object())
    with pytest.raises(
        RuntimeError, match=r"needs onnx, tf2onnx, onnxruntime: pip install 'specksim\[train,onnx\]'"
    ):
        require_packages("onnx")
    require_packages("saved_model")


def test_failure_of_a_converter_is_one_line(tmp_path):
    class Broken:
        def __call__(self, images):
            return images

        def export(self, *_, **__):
            raise TypeError("no such operation\nin a long story")

    with pytest.raises(RuntimeError, match=r"^export to saved_model failed: no such operation$"):
        export(Broken(), tmp_path / "network", file_format="saved_model")


def test_unknown_format(tmp_path, model):
    with pytest.raises(ValueError, match="format must be one of onnx, saved_model, got 'pickle'"):
        export(model, tmp_path / "network", file_format="pickle")
