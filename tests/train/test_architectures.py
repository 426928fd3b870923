"""The networks: shape, size, invariances, and what an untrained one already knows."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from specksim_train import architectures  # noqa: E402
from tests.train.test_layers import band_limited, stack  # noqa: E402


@pytest.mark.parametrize(("filters", "parameters"), [(64, 31_031_234), (16, 1_940_978)])
def test_the_published_unet_has_its_parameters(filters, parameters):
    model = architectures.build_unet(base_filters=filters)
    assert model.count_params() == parameters
    assert model.output_shape == (None, 256, 256, 2)


def test_the_published_unet_has_its_layers_in_order():
    model = architectures.build_unet(base_filters=64)
    block = [("Conv2D", (3, 3))] * 2
    expected = [
        *[[*block, ("MaxPooling2D", (2, 2))]] * 4,
        block,
        *[[("Conv2DTranspose", (2, 2)), ("Concatenate", None), *block]] * 4,
        [("Conv2D", (1, 1))],
    ]
    found = [
        (type(layer).__name__, getattr(layer, "kernel_size", getattr(layer, "pool_size", None)))
        for layer in model.layers[1:]
    ]
    assert found == [entry for group in expected for entry in group]
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert [layer.filters for layer in convolutions[:-1:2]] == [64, 128, 256, 512, 1024, 512, 256, 128, 64]
    assert {layer.activation.__name__ for layer in convolutions[:-1]} == {"relu"}
    assert convolutions[-1].activation.__name__ == "linear"


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_any_multiple_of_16_goes_through(architecture):
    model = architectures.build(architecture, 2)
    counts = np.random.default_rng(0).poisson(500, (2, 48, 80, 2)).astype(np.float32)
    assert model(counts).shape == (2, 48, 80, 4)


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_the_scale_of_the_counts_does_not_matter(architecture):
    model = architectures.build(architecture, 2)
    counts = np.random.default_rng(0).poisson(500, (1, 64, 64, 2)).astype(np.float32)
    there, here = (keras.ops.convert_to_numpy(model(scale * counts)) for scale in (0.01, 3.0))
    assert there == pytest.approx(here, abs=1e-4)


@pytest.mark.parametrize("size", [0.2, 0.5, 1.0, 2.0])
def test_an_untrained_guided_network_returns_constant_shifts(size):
    model = architectures.build_guided_unet(base_filters=2)
    shift = (0.8 * size, -0.6 * size)
    reference, sample = band_limited((96, 96), shift, np.random.default_rng(5))
    found = keras.ops.convert_to_numpy(model(2000 * stack(reference, 0.9 * sample)))[0, 12:-12, 12:-12, :2]
    assert found.mean(axis=(0, 1)) == pytest.approx(shift, abs=0.02)


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_nothing_beyond_the_receptive_radius_matters(architecture):
    model = architectures.build(architecture, 2)
    rng = np.random.default_rng(6)
    model.set_weights([w + 0.05 * rng.standard_normal(w.shape) for w in model.get_weights()])
    radius = architectures.receptive_radius_px(model)
    columns = 16 * (2 * radius // 16 + 3)
    counts = rng.poisson(500, (1, 32, columns, 2)).astype(np.float32)
    other = counts.copy()
    other[:, :, : columns // 2 - radius] = rng.poisson(900, other[:, :, : columns // 2 - radius].shape)
    before, after = (keras.ops.convert_to_numpy(model(images))[0] for images in (counts, other))
    assert np.abs(before - after)[:, : columns // 2 - radius].max() > 1e-3
    assert np.abs(before - after)[:, columns // 2 + 1 :].max() < 1e-6


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_a_saved_model_is_loaded_without_running_code(architecture, tmp_path):
    model = architectures.build(architecture, 2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    counts = np.random.default_rng(7).poisson(500, (1, 32, 32, 2)).astype(np.float32)
    assert np.array_equal(model(counts), again(counts))


def test_a_mixed_precision_model_becomes_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = architectures.build_guided_unet(base_filters=2)
    finally:
        keras.config.set_dtype_policy("float32")
    copy = architectures.float32_copy(model)
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: architectures.build_unet((250, 256, 2)), "multiples of 16, got \\(250, 256\\)"),
        (lambda: architectures.build_unet(num_classes=0), "num_classes must be >= 1, got 0"),
        (lambda: architectures.build_guided_unet((None, None, 3)), "2 channels"),
        (lambda: architectures.build("vnet", 16), "one of guided-unet, unet, got 'vnet'"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
