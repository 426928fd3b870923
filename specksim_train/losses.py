"""Losses and metrics of displacements.

Targets are (B, H, W, 3): dx, dy in pixels, and valid, 1 where ray optics holds; predictions (B, H, W, 2).
"""

from typing import Any

import keras
from keras import ops

_PACKAGE = "specksim"
_SOFT_PX = 1e-3


@keras.saving.register_keras_serializable(package=_PACKAGE)
def endpoint_loss(target: Any, prediction: Any) -> Any:
    """Length of the error of each displacement, pixels, rounded off below 0.001 px: (B, H, W)."""
    error = prediction - ops.cast(target[..., :2], prediction.dtype)
    return ops.sqrt(ops.sum(ops.square(error), axis=-1) + _SOFT_PX**2)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class EndpointError(keras.metrics.Metric):
    """Mean length of the error, pixels, over all pixels or the valid ones alone.

    Parameters
    ----------
    valid : bool
        Leave out the pixels whose third target is 0.
    """

    def __init__(self, valid: bool = False, name: str = "error_px", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.valid = bool(valid)
        self.total = self.add_variable((), initializer="zeros", name="total")
        self.weight = self.add_variable((), initializer="zeros", name="weight")

    def update_state(self, target: Any, prediction: Any, sample_weight: Any = None) -> None:
        error = ops.cast(prediction, "float32") - ops.cast(target[..., :2], "float32")
        length = ops.sqrt(ops.sum(ops.square(error), axis=-1))
        weight = ops.cast(target[..., 2], "float32") if self.valid else ops.ones_like(length)
        self.total.assign_add(ops.sum(length * weight))
        self.weight.assign_add(ops.sum(weight))

    def result(self) -> Any:
        return self.total / ops.maximum(self.weight, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "valid": self.valid}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class AgainstZero(keras.metrics.Metric):
    """R² against the zero predictor, 1 − Σ|d − d̂|² / Σ|d|²: near 0 for a network that has learned
    nothing."""

    def __init__(self, name: str = "r2", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.error = self.add_variable((), initializer="zeros", name="error")
        self.power = self.add_variable((), initializer="zeros", name="power")

    def update_state(self, target: Any, prediction: Any, sample_weight: Any = None) -> None:
        truth = ops.cast(target[..., :2], "float32")
        self.error.assign_add(ops.sum(ops.square(ops.cast(prediction, "float32") - truth)))
        self.power.assign_add(ops.sum(ops.square(truth)))

    def result(self) -> Any:
        return 1.0 - self.error / ops.maximum(self.power, 1e-12)


def metrics() -> list[keras.metrics.Metric]:
    """The metrics that are watched while training."""
    return [EndpointError(), EndpointError(valid=True, name="error_valid_px"), AgainstZero()]
