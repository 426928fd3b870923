"""Losses and metrics against plain NumPy."""

import keras
import numpy as np
import pytest

from specksim_train import losses


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    target = rng.standard_normal((2, 8, 8, 3)).astype(np.float32)
    target[..., 2] = rng.random((2, 8, 8)) < 0.7
    found = rng.standard_normal((2, 8, 8, 4)).astype(np.float32)
    found[..., 2:] = np.exp(found[..., 2:])
    return target, found


def test_the_loss_is_the_length_of_the_error(batch):
    target, found = batch
    length = np.hypot(*np.moveaxis(found[..., :2] - target[..., :2], -1, 0))
    assert keras.ops.convert_to_numpy(losses.endpoint_loss(target, found)) == pytest.approx(length, abs=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
def test_the_standard_errors_learn_from_the_errors_alone(batch):
    tensorflow = pytest.importorskip("tensorflow")
    target, found = batch
    values = tensorflow.Variable(found)
    with tensorflow.GradientTape() as tape:
        loss = losses.likelihood_loss(target, values)
    gradient = tape.gradient(loss, values).numpy()
    assert not gradient[..., :2].any()
    scale, error = found[..., 2:] / 1.3, np.abs(found[..., :2] - target[..., :2])
    assert keras.ops.convert_to_numpy(loss) == pytest.approx(
        np.sum(np.log(scale) + error / scale, axis=-1), rel=1e-4, abs=1e-4
    )
    assert np.array_equal(gradient[..., 2:] > 0, scale > error)  # the best scale is the mean |error|


@pytest.mark.parametrize("draw", ["normal", "laplace"])
def test_what_the_likelihood_finds_covers_as_it_should(draw):
    errors = getattr(np.random.default_rng(1), draw)(size=100_000)
    standard_error = 1.3 * np.mean(np.abs(errors))
    assert 0.63 < np.mean(np.abs(errors) < standard_error) < 0.735
    assert 0.92 <= np.mean(np.abs(errors) < 1.96 * standard_error) < 0.98


def test_metrics_count_pixels_as_they_are_named(batch):
    target, found = batch
    error = found[..., :2] - target[..., :2]
    length = np.hypot(*np.moveaxis(error, -1, 0))
    wanted = {
        "error_px": length.mean(),
        "error_valid_px": length[target[..., 2] == 1].mean(),
        "r2": 1 - np.sum(error**2) / np.sum(target[..., :2] ** 2),
        "coverage": np.mean(np.abs(error) <= found[..., 2:]),
    }
    for metric in losses.metrics():
        for half in (slice(0, 1), slice(1, 2)):
            metric.update_state(target[half], found[half])
        assert float(metric.result()) == pytest.approx(wanted[metric.name], rel=1e-5)


def test_the_zero_predictor_has_r2_zero(batch):
    metric = losses.AgainstZero()
    metric.update_state(batch[0], np.zeros_like(batch[1]))
    assert float(metric.result()) == pytest.approx(0)
