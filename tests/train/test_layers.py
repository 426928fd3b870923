"""The parameter-free layers against displacements that are known in closed form."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from specksim_train import layers  # noqa: E402


def band_limited(shape, shift, rng, cut=0.25):
    """A random image of mean 1, periodic, and the same moved by (dx, dy), pixels, exactly."""
    noise = np.fft.fft2(rng.standard_normal(shape))
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    noise[(np.hypot(kx, ky) > cut) | (np.hypot(kx, ky) == 0)] = 0
    image = np.fft.ifft2(noise).real
    moved = np.fft.ifft2(noise * np.exp(-2j * np.pi * (kx * shift[0] + ky * shift[1]))).real
    scale = 0.3 / image.std()
    return (1 + scale * image).astype(np.float32), (1 + scale * moved).astype(np.float32)


def stack(reference, sample):
    return np.stack([reference, sample], axis=-1)[None]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.2, 0.0), (0.0, -0.5), (1.0, 0.6), (-2.0, 1.5)])
def test_coarse_shift_finds_a_constant_displacement(shift):
    pair = stack(*band_limited((96, 128), shift, np.random.default_rng(0)))
    found = keras.ops.convert_to_numpy(layers.IteratedShift()(pair))[0, 12:-12, 12:-12]
    assert found.mean(axis=(0, 1)) == pytest.approx(shift, abs=0.01)
    assert np.abs(found - shift).max() < 0.15


def test_windows_find_small_residuals_and_the_transmission():
    reference, sample = band_limited((96, 128), (0.05, -0.03), np.random.default_rng(1), cut=0.15)
    found = layers.WindowedShifts((3.0, 8.0))(stack(reference, 0.8 * sample))
    inner = keras.ops.convert_to_numpy(found)[0, 12:-12, 12:-12].mean(axis=(0, 1))
    assert inner == pytest.approx([0.05, -0.03, 0.8] * 2, abs=0.006)


def test_pull_back_samples_where_the_displacement_points():
    ramp = np.add.outer(10 * np.arange(16.0), np.arange(16.0)).astype(np.float32)  # 10 y + x
    shift = np.broadcast_to(np.float32([1.5, -2.25]), (1, 16, 16, 2))
    pulled = keras.ops.convert_to_numpy(layers.PullBack()([stack(0 * ramp, ramp), shift]))[0, ..., 1]
    assert pulled[4:, :-4] == pytest.approx(ramp[4:, :-4] + 1.5 - 22.5, abs=1e-4)
    assert not pulled[:2].any()  # from outside of the frame comes the reference
    assert not pulled[:, -1].any()


def test_equal_images_give_no_displacement():
    image = np.random.default_rng(2).poisson(500, (1, 64, 64, 1)).astype(np.float32)
    pair = layers.LocalNormalization()(np.repeat(image, 2, axis=-1))
    assert not keras.ops.convert_to_numpy(layers.IteratedShift()(pair)).any()


def test_images_without_speckle_give_no_displacement():
    found = layers.IteratedShift()(np.ones((1, 64, 64, 2), np.float32))
    assert not keras.ops.convert_to_numpy(found).any()


def test_normalisation_does_not_depend_on_the_counts_and_gives_mean_one():
    counts = np.random.default_rng(3).poisson(300, (1, 64, 96, 2)).astype(np.float32)
    layer = layers.LocalNormalization()
    normal = keras.ops.convert_to_numpy(layer(counts))
    assert keras.ops.convert_to_numpy(layer(counts * [7.0, 0.3])) == pytest.approx(normal, rel=1e-5)
    assert normal.mean(axis=(0, 1, 2)) == pytest.approx(1.0, abs=2e-3)
    assert not keras.ops.convert_to_numpy(layer(0 * counts)).any()  # a dead image is no reason for NaN


@pytest.mark.parametrize(
    "layer",
    [
        layers.LocalNormalization(12.0, 4),
        layers.IteratedShift((6.0, 3.0), 4.0),
        layers.WindowedShifts((2.0,)),
        layers.PullBack(3.0),
        layers.Channels(0, 1, 2.0, 0.5),
    ],
)
def test_layers_are_restored_from_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer), safe_mode=True)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert again.radius_px == layer.radius_px
    assert layer.count_params() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LocalNormalization(0), "sigma_px must be > 0"),
        (lambda: layers.IteratedShift((8.0, 0.0)), "sigmas_px must be > 0"),
        (lambda: layers.IteratedShift(()), "sigmas_px must hold at least one number"),
        (lambda: layers.PullBack(float("inf")), "limit_px must be > 0 and finite"),
        (lambda: layers.WindowedShifts((1.0, -2.0)), "sigmas_px must be > 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
