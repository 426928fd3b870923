"""Losses and metrics of displacements.

Targets are (B, H, W, 3): dx, dy in pixels, and valid, 1 where ray optics holds; predictions (B, H, W, 4): dx,
dy and their standard errors, pixels.
"""

from typing import Any

import keras
from keras import ops

from specksim_train.confidence import ERROR_IN_SCALES

_PACKAGE = "specksim"
_SOFT_PX = 1e-3
_SHARE = 0.01


@keras.saving.register_keras_serializable(package=_PACKAGE)
def endpoint_loss(target: Any, prediction: Any) -> Any:
    """Length of the error of each displacement, pixels, rounded off below 0.001 px: (B, H, W)."""
    error = prediction[..., :2] - ops.cast(target[..., :2], prediction.dtype)
    return ops.sqrt(ops.sum(ops.square(error), axis=-1) + _SOFT_PX**2)


@keras.saving.register_keras_serializable(package=_PACKAGE)
def likelihood_loss(target: Any, prediction: Any) -> Any:
    """Negative logarithm of the Laplace likelihood of the errors, (B, H, W), by the standard errors alone."""
    found, scale = prediction[..., :2], prediction[..., 2:] / ERROR_IN_SCALES
    error = ops.stop_gradient(ops.abs(found - ops.cast(target[..., :2], prediction.dtype)))
    return ops.sum(ops.log(scale) + error / scale, axis=-1)


@keras.saving.register_keras_serializable(package=_PACKAGE)
def training_loss(target: Any, prediction: Any) -> Any:
    """`endpoint_loss`, which trains the displacement, and a little `likelihood_loss`, for its error.

    Neither has a gradient with respect to the other's parameters; the factor keeps those of the second below
    the norm at which the gradients of each variable are clipped.
    """
    return endpoint_loss(target, prediction) + _SHARE * likelihood_loss(target, prediction)


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
        error = ops.cast(prediction[..., :2], "float32") - ops.cast(target[..., :2], "float32")
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
        found = ops.cast(prediction[..., :2], "float32")
        self.error.assign_add(ops.sum(ops.square(found - truth)))
        self.power.assign_add(ops.sum(ops.square(truth)))

    def result(self) -> Any:
        return 1.0 - self.error / ops.maximum(self.power, 1e-12)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Coverage(keras.metrics.Metric):
    """Share of the errors, of both components, within one standard error: 0.68 if these are right."""

    def __init__(self, name: str = "coverage", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.within = self.add_variable((), initializer="zeros", name="within")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, target: Any, prediction: Any, sample_weight: Any = None) -> None:
        whole = ops.cast(prediction, "float32")
        inside = ops.abs(whole[..., :2] - ops.cast(target[..., :2], "float32")) <= whole[..., 2:]
        self.within.assign_add(ops.sum(ops.cast(inside, "float32")))
        self.count.assign_add(ops.sum(ops.ones_like(whole[..., 2:])))

    def result(self) -> Any:
        return self.within / ops.maximum(self.count, 1.0)


def metrics() -> list[keras.metrics.Metric]:
    """The metrics that are watched while training."""
    return [EndpointError(), EndpointError(valid=True, name="error_valid_px"), AgainstZero(), Coverage()]
