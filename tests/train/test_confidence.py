"""The standard error's head: what it sees, and what it leaves alone."""

import keras
import numpy as np
import pytest

from specksim_train import architectures, losses
from specksim_train.confidence import Detached, Exponential, Misfit, Surroundings, calibrate

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape"
)


def test_misfit_is_the_logarithm_of_the_noise():
    rng = np.random.default_rng(0)
    noise = np.stack([np.ones((2, 64, 64)), 1 + 0.02 * rng.standard_normal((2, 64, 64))], axis=-1)
    noise[1, ..., 1] = 1 + 0.2 * rng.standard_normal((64, 64))
    found = keras.ops.convert_to_numpy(Misfit()(noise.astype(np.float32)))
    assert found.shape == (2, 64, 64, 1)
    for k, sigma in enumerate((0.02, 0.2)):
        assert found[k] == pytest.approx(np.log(sigma) + 3.5, abs=0.15)
    with pytest.raises(ValueError, match="sigma_px must be > 0 and finite, got 0"):
        Misfit(0)


def test_surroundings_are_means_of_what_lies_in_the_frame():
    step = np.zeros((1, 64, 96, 2), np.float32)
    step[..., 0] = 3.0
    step[:, :, 48:, 1] = 1.0
    found = keras.ops.convert_to_numpy(Surroundings()(step))
    assert found[..., 0] == pytest.approx(3.0, abs=1e-5)
    assert found[0, 32, :4, 1] == pytest.approx(0.0, abs=1e-6)
    assert found[0, 32, -4:, 1] == pytest.approx(1.0, abs=1e-6)
    assert found[0, 32, 46:50, 1].mean() == pytest.approx(0.5, abs=0.02)


def test_calibrated_errors_hold_68_percent_and_leave_the_displacement_alone():
    rng = np.random.default_rng(1)
    images = rng.poisson(500, (2, 64, 64, 2)).astype(np.float32)
    model = architectures.build("guided-unet", 2)
    before = model.predict_on_batch(images)
    target = np.zeros((2, 64, 64, 3), np.float32)
    target[..., :2] = before[..., :2] + 0.2 * rng.standard_normal((2, 64, 64, 2))
    factor = calibrate(model, [(images[:1], target[:1]), (images[1:], target[1:])])
    after = model.predict_on_batch(images)
    assert factor == pytest.approx(0.2 / 0.05, rel=0.05)  # an untrained head says 0.05 px
    assert np.array_equal(before[..., :2], after[..., :2])
    within = np.abs(after[..., :2] - target[..., :2]) <= after[..., 2:]
    assert within.mean() == pytest.approx(0.683, abs=0.01)
    assert calibrate(model, [(images, target)]) == pytest.approx(1.0, abs=1e-3)


def test_errors_are_positive_and_bounded():
    values = np.array([[-100.0, 0.0, 1.0, 100.0]], np.float32)
    found = keras.ops.convert_to_numpy(Exponential()(values))
    assert found[0] == pytest.approx([1e-4, 0.05, 0.05 * np.e, 10.0], rel=1e-5)


@on_tensorflow
@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_the_error_does_not_train_the_displacement(architecture):
    tensorflow = pytest.importorskip("tensorflow")
    model = architectures.build(architecture, 2)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.05 * rng.standard_normal(w.shape) for w in model.get_weights()])
    counts = rng.poisson(500, (1, 32, 32, 2)).astype(np.float32)
    target = rng.standard_normal((1, 32, 32, 3)).astype(np.float32)
    for loss, heads in ((losses.likelihood_loss, True), (losses.endpoint_loss, False)):
        with tensorflow.GradientTape() as tape:
            value = tensorflow.reduce_mean(loss(target, model(counts)))
        gradients = tape.gradient(value, model.trainable_variables)
        moved = [g is not None and bool(np.abs(g).max() > 0) for g in gradients]
        of_the_error = ["error_" in variable.path for variable in model.trainable_variables]
        assert any(of_the_error)
        assert moved == [each is heads for each in of_the_error]


@on_tensorflow
def test_detached_passes_values_and_no_gradient():
    tensorflow = pytest.importorskip("tensorflow")
    x = tensorflow.Variable([[1.0, 2.0]])
    with tensorflow.GradientTape() as tape:
        y = Detached()(x)
    assert np.array_equal(y, x)
    assert tape.gradient(y, x) is None or not np.any(tape.gradient(y, x))
