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
    return target, rng.standard_normal((2, 8, 8, 2)).astype(np.float32)


def test_the_loss_is_the_length_of_the_error(batch):
    target, found = batch
    length = np.hypot(*np.moveaxis(found - target[..., :2], -1, 0))
    assert keras.ops.convert_to_numpy(losses.endpoint_loss(target, found)) == pytest.approx(length, abs=1e-3)


def test_metrics_count_pixels_as_they_are_named(batch):
    target, found = batch
    length = np.hypot(*np.moveaxis(found - target[..., :2], -1, 0))
    wanted = {
        "error_px": length.mean(),
        "error_valid_px": length[target[..., 2] == 1].mean(),
        "r2": 1 - np.sum((found - target[..., :2]) ** 2) / np.sum(target[..., :2] ** 2),
    }
    for metric in losses.metrics():
        for half in (slice(0, 1), slice(1, 2)):
            metric.update_state(target[half], found[half])
        assert float(metric.result()) == pytest.approx(wanted[metric.name], rel=1e-5)


def test_the_zero_predictor_has_r2_zero(batch):
    metric = losses.AgainstZero()
    metric.update_state(batch[0], np.zeros_like(batch[1]))
    assert float(metric.result()) == pytest.approx(0)
