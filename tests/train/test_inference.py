"""Prediction on images of any size, by a network small enough for a test."""

import dataclasses
import json
import re
import warnings

import keras
import numpy as np
import pytest
from keras import layers
from scipy import ndimage

from specksim.retrieval import integrate_phase
from specksim.setups import Setup
from specksim_train.inference import Network, OutsideTraining, _averaged, load, speckle_visibility
from specksim_train.layers import Channels, LocalNormalization
from tests.train.networks import windowed_shifts


def stand_in(seed=0):
    """A network of one pooling, with random weights and outputs of about a pixel."""
    keras.utils.set_random_seed(seed)
    counts = keras.Input((None, None, 2))
    x = Channels(0, 2, offset=-1.0)(LocalNormalization(4.0, 8)(counts))
    skip = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.MaxPooling2D()(skip))
    x = layers.Conv2DTranspose(4, 2, strides=2)(x)
    return keras.Model(counts, layers.Conv2D(4, 1)(layers.Concatenate()([skip, x])))


@pytest.fixture(scope="module")
def network():
    return Network.of(stand_in(), name="stand-in")


@pytest.fixture(scope="module")
def windowed():
    return Network.of(windowed_shifts(), name="windowed")


def speckle(shape=(128, 144), seed=0):
    noise = np.random.default_rng(seed).normal(size=shape)
    pattern = ndimage.gaussian_filter(noise, 1.5, mode="wrap")
    return (1000 * np.exp(0.3 * pattern / pattern.std())).astype(np.float32)


def moved(image, dx, dy):
    """The image moved by (dx, dy) pixels, by Fourier shift: what was at x is at x + d."""
    return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), (dy, dx))).real.astype(np.float32)


INSIDE = (slice(24, -24), slice(24, -24))


@pytest.mark.parametrize(("dx", "dy"), [(0.3, 0.0), (0.0, -0.4), (0.25, 0.35)])
def test_sign_and_axes(windowed, dx, dy):
    result = windowed.predict(speckle(), moved(speckle(), dx, dy))
    assert np.median(result.dx[INSIDE]) == pytest.approx(dx, abs=0.05)
    assert np.median(result.dy[INSIDE]) == pytest.approx(dy, abs=0.05)
    assert result.quality[INSIDE].min() > 0.9
    assert result.parameters["removed_dx_px"] == result.parameters["removed_dy_px"] == 0


@pytest.mark.parametrize("flux", [1.0, 0.6])
def test_drift_and_flux_are_removed_and_reported(windowed, flux):
    """A drift of tens of pixels comes back to within what is left below a pixel."""
    result = windowed.predict(speckle(), flux * moved(speckle(), 17.3, -25.2))
    inside = (slice(40, -40), slice(40, -40))
    assert np.median(result.dx[inside]) == pytest.approx(17.3, abs=0.05)
    assert np.median(result.dy[inside]) == pytest.approx(-25.2, abs=0.05)
    found = result.parameters
    assert (found["removed_dx_px"], found["removed_dy_px"]) == (17, -25)
    assert found["drift_dx_px"] == pytest.approx(17.3, abs=0.1)
    assert found["flux"] == pytest.approx(flux, rel=0.05)
    assert np.median(result.transmission[inside]) == pytest.approx(flux, rel=0.02)
    assert result.quality[64, 64] > 0.9
    np.testing.assert_array_equal(result.quality[:, -17:], 0.0)  # moved out of the frame
    np.testing.assert_array_equal(result.quality[:25], 0.0)
    without = windowed.predict(speckle(), flux * moved(speckle(), 17.3, -25.2), subtract_drift=True)
    assert np.median(without.dx) == pytest.approx(0.0, abs=1e-5)
    assert np.median(without.dy) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("shape", [(100, 130), (64, 64), (16, 31), (33, 200)])
def test_any_size(network, shape):
    image = speckle(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutsideTraining)
        result = network.predict(image, image)
    assert result.dx.shape == result.dy.shape == result.quality.shape == shape
    assert np.isfinite(result.dx).all()
    assert result.phase is None


@pytest.mark.filterwarnings("ignore::specksim_train.inference.OutsideTraining")
def test_tiled_equals_untiled(network):
    reference, sample = speckle((200, 230)), moved(speckle((200, 230)), 0.4, 0.2)
    whole = network.predict(reference, sample)
    tile = 2 * (-(-network.radius_px // 16) * 16) + 32
    assert tile < 200
    tiled = network.predict(reference, sample, tile=tile)
    np.testing.assert_allclose(tiled.dx, whole.dx, atol=1e-4)
    np.testing.assert_allclose(tiled.dy, whole.dy, atol=1e-4)
    with pytest.raises(ValueError, match="tile must be a multiple of 16 and >="):
        network.predict(reference, sample, tile=32)


@pytest.mark.filterwarnings("ignore::specksim_train.inference.OutsideTraining")
def test_counts_of_any_type_and_scale(network):
    reference, sample = speckle().astype(np.uint16), moved(speckle(), 0.4, 0.2).astype(np.uint16)
    expected = network.predict(reference, sample)
    for factor, dtype in ((1, np.float64), (1, np.uint32), (16, np.uint32), (0.01, np.float32)):
        result = network.predict(
            (reference * np.float64(factor)).astype(dtype), (sample * np.float64(factor)).astype(dtype)
        )
        np.testing.assert_allclose(result.dx, expected.dx, atol=1e-4)


def test_phase_with_a_setup(windowed):
    result = windowed.predict(speckle(), moved(speckle(), 0.3, 0.0), setup=Setup())
    np.testing.assert_allclose(
        result.phase, integrate_phase(result.dx, result.dy, Setup()), rtol=1e-5, atol=1e-3
    )
    assert result.phase[64, 100] > result.phase[64, 40]


def test_several_exposures(windowed):
    references = np.stack([speckle(seed=k) for k in range(3)])
    samples = np.stack([moved(image, 0.3, 0.1) for image in references])
    result = windowed.predict(references, samples)
    each = [windowed.predict(*pair).dx for pair in zip(references, samples, strict=True)]
    np.testing.assert_allclose(result.dx, np.mean(each, axis=0), atol=1e-5)
    assert np.unique(windowed.predict(references[:1], samples[:1]).dx_error) == pytest.approx(0.05)


def test_what_exposures_have_wrong_together_does_not_average_out(windowed):
    rng = np.random.default_rng(3)
    one = windowed.predict(speckle(), speckle())
    shape, shared, own, count = one.dx.shape, 0.03, 0.04, 8
    results = [
        dataclasses.replace(
            one,
            dx=(0.01 + own * rng.standard_normal(shape)).astype(np.float32),
            dy=np.zeros(shape, np.float32),
            dx_error=np.full(shape, np.hypot(shared, own), np.float32),
            dy_error=np.full(shape, own, np.float32),
        )
        for _ in range(count)
    ]
    found = _averaged(results)
    assert found.dx_error.mean() == pytest.approx(np.hypot(shared, own / np.sqrt(count)), rel=0.05)
    assert np.unique(found.dy_error) == pytest.approx(own)  # nothing scatters, all of it is shared
    noisy = [dataclasses.replace(result, dx_error=np.full(shape, 0.01, np.float32)) for result in results]
    assert _averaged(noisy).dx_error.mean() == pytest.approx(own / np.sqrt(count), rel=0.05)


DOMAIN = {"visibility": [0.2, 0.5], "photons_per_pixel": [500, 2000], "displacement_px": 1.0}


def predict_within(windowed, domain, reference, sample):
    network = dataclasses.replace(windowed, domain=domain)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = network.predict(reference, sample)
    messages = [str(item.message) for item in caught if item.category is OutsideTraining]
    assert messages == [f"windowed: {message}" for message in result.parameters["warnings"]]
    return messages


def test_no_warning_within_the_training_nor_without_a_range(windowed):
    assert predict_within(windowed, DOMAIN, speckle(), moved(speckle(), 0.3, 20.0)) == []
    assert predict_within(windowed, {}, 1e-3 * speckle(), 1e-3 * moved(speckle(), 0.3, 0.0)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visibility": [0.5, 0.9]}, "visibility is 0.3.*, the training had 0.5 to 0.9"),
        ({"photons_per_pixel": [1, 500]}, "mean count is 1.*e.03, the training had 1 to 500"),
        ({"displacement_px": 0.1}, "displacements reach 0.3.* px, the network is to be trusted up to 0.1 px"),
    ],
)
def test_warning_outside_of_the_training(windowed, change, message):
    (found,) = predict_within(windowed, {**DOMAIN, **change}, speckle(), moved(speckle(), 0.3, 0.0))
    assert re.search(message, found)


def test_a_small_frame_is_judged_by_its_inside(windowed):
    small = speckle((40, 44))
    assert predict_within(windowed, {}, small, moved(small, 0.2, 0.1)) == []


def test_warning_for_a_part_that_is_lost(windowed):
    reference, sample = speckle(), moved(speckle(), 0.3, 0.0)
    lost = sample.copy()
    lost[:, -40:] = speckle(seed=2)[:, -40:]
    (found,) = predict_within(windowed, {}, reference, lost)
    assert re.search(r"does not explain the sample in (1[5-9]|2\d)% of the pixels", found)


def test_warning_for_another_beamline(windowed):
    pair, own = (speckle(), moved(speckle(), 0.3, 0.0)), Setup()
    network = dataclasses.replace(windowed, domain={"setups": (own.to_toml(),)})
    assert network.predict(*pair, setup=own.with_values(beam__energy_kev=30.0)).parameters["warnings"] == []
    with pytest.warns(OutsideTraining, match=r"energy, distance and pixel .* by a factor of 1\.4 in all"):
        network.predict(*pair, setup=own.with_values(beam__energy_kev=20.0))


def test_warning_for_unrelated_images(windowed):
    messages = predict_within(windowed, {}, speckle(seed=1), speckle(seed=2))
    assert any("share no pattern" in message for message in messages)
    assert any("does not explain" in message for message in messages)


def test_visibility_is_that_of_the_speckle_not_of_the_beam():
    image = speckle((512, 512))
    profile = np.exp(-0.5 * ((np.arange(512) - 256) / 200) ** 2).astype(np.float32)
    expected = float(image.std() / image.mean())
    assert speckle_visibility(image * profile) == pytest.approx(expected, rel=0.1)
    noisy = np.random.default_rng(0).poisson(0.1 * image).astype(np.float32)
    assert speckle_visibility(noisy) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("reference", "sample", "message"),
    [
        (np.ones((32, 32)), np.ones((32, 33)), r"one shape, got \(32, 32\) and \(32, 33\)"),
        (np.ones(32), np.ones(32), r"\(H, W\) or \(K, H, W\)"),
        (np.full((32, 32), np.nan), np.ones((32, 32)), "reference must be finite"),
        (np.ones((32, 32)), -np.ones((32, 32)), "sample must be finite, >= 0"),
        (np.ones((32, 32)), np.zeros((32, 32)), "sample .* not all 0"),
        (np.ones((32, 32), complex), np.ones((32, 32), complex), "must hold numbers, got complex128"),
        (np.ones((8, 32)), np.ones((8, 32)), "16 or more pixels"),
    ],
)
def test_wrong_images(network, reference, sample, message):
    with pytest.raises(ValueError, match=message):
        network.predict(reference, sample)


@pytest.mark.filterwarnings("ignore::specksim_train.inference.OutsideTraining")
def test_a_run_folder_and_a_file_are_loaded(tmp_path, network):
    for file in ("last.keras", "best.keras"):
        network.model.save(tmp_path / file)
        (tmp_path / "config.json").write_text(json.dumps({"domain": DOMAIN, "epochs": 3}))
        for name in (tmp_path, tmp_path / file):
            loaded = load(name)
            assert loaded.domain == DOMAIN
            assert loaded.radius_px == network.radius_px
            np.testing.assert_array_equal(
                loaded.predict(speckle(), speckle()).dx, network.predict(speckle(), speckle()).dx
            )


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(ValueError, match=r"run folder, a .keras file or a shipped network.*got 'nosuch'"):
        load("nosuch")
    with pytest.raises(ValueError, match=r"must hold best.keras or last.keras, got neither"):
        load(tmp_path)
    file = tmp_path / "best.keras"
    with pytest.raises(ValueError, match="no such model file"):
        load(file)
    file.write_text("this is no model")
    with pytest.raises(ValueError, match=r"best.keras: not a Keras model that can be loaded safely"):
        load(tmp_path)
    stand_in().save(file)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json: not a run's configuration"):
        load(tmp_path)


def test_a_model_that_holds_code_is_refused(tmp_path):
    images = keras.Input((None, None, 2))
    file = tmp_path / "code.keras"
    keras.Model(images, layers.Lambda(lambda x: x)(images)).save(file)
    with pytest.raises(ValueError, match="loaded safely"):
        load(file)


@pytest.mark.parametrize(("shape", "maps"), [((64, 64, 2), 4), ((None, None, 3), 4), ((None, None, 2), 2)])
def test_a_model_of_another_kind_is_refused(shape, maps):
    images = keras.Input(shape)
    with pytest.raises(ValueError, match=r"must turn \(None, None, None, 2\)"):
        Network.of(keras.Model(images, layers.Conv2D(maps, 1)(images)))
