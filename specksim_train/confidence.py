"""How far a network can be trusted, pixel by pixel: its own standard error.

The error's head is trained beside the displacement and has no influence on it: it sees the U-Net's last
features and the displacement's error, but no gradient of its own goes back into either.
"""

import math
from typing import Any

import keras
from keras import layers, ops

from specksim_train.layers import Parameterless, block_means, enlarge, gaussian_taps, smooth

_PACKAGE = "specksim"
ERROR_IN_SCALES = 1.3
"""Standard error in scales b of the Laplace likelihood. Were errors Gaussian, b would come out as 0.80 σ,
were they Laplacian as 0.71 σ; 1.3 b holds 70 % of the first within it and 73 % of the second, and within
1.96 times it 96 % and 92 %."""
_START_PX = 0.05
_LEAST_PX, _MOST_PX = 1e-4, 10.0
_BLOCK_PX = 4


def standard_error(features: Any, misfit: Any | None = None) -> Any:
    """Standard errors (dx, dy), pixels, out of a network's last features, (B, H, W, 2) float32.

    Parameters
    ----------
    features : (B, H, W, F) tensor
    misfit : (B, H, W, 1) tensor, optional
        Of `Misfit`.
    """
    seen = Detached(name="error_features")(features)
    if misfit is not None:
        seen = layers.Concatenate(name="error_input")([seen, misfit])
    x = layers.Conv2D(16, 1, activation="relu", name="error_conv")(seen)
    x = layers.Conv2D(2, 1, kernel_initializer="zeros", dtype="float32", name="error_scale")(x)
    return Exponential(name="error")(x)


class _Pointwise(Parameterless):
    """What a pixel becomes depends on that pixel alone."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)

    @property
    def radius_px(self) -> int:
        return 0


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Detached(_Pointwise):
    """Its input; no gradient passes."""

    def call(self, images: Any) -> Any:
        return ops.stop_gradient(images)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Exponential(_Pointwise):
    """0.05 px · exp(input), within 0.0001 and 10 px."""

    def call(self, images: Any) -> Any:
        low, high = (math.log(limit / _START_PX) for limit in (_LEAST_PX, _MOST_PX))
        return _START_PX * ops.exp(ops.clip(images, low, high))


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Misfit(Parameterless):
    """What is left between the reference and the sample pulled back: noise, and what was not found.

    Normalised images do not tell how many photons they are made of; this does. Input: (B, H, W, 2) of local
    mean 1. Output: (B, H, W, 1): ln of the root mean square of the difference in a Gaussian window, plus 3.5,
    which is about 0 at 2000 photons a pixel.

    Parameters
    ----------
    sigma_px : float
        Sigma of the window, pixels, > 0.
    """

    def __init__(self, sigma_px: float = 8.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < sigma_px < math.inf:
            raise ValueError(f"sigma_px must be > 0 and finite, got {sigma_px}")
        self.sigma_px = float(sigma_px)
        self._taps = gaussian_taps(self.sigma_px / _BLOCK_PX)

    def call(self, pair: Any) -> Any:
        squares = block_means(ops.square(pair[..., 1] - pair[..., 0]), _BLOCK_PX)[..., None]
        share = smooth(ops.ones_like(squares), self._taps)
        power = smooth(squares, self._taps) / share
        return enlarge(0.5 * ops.log(power + 1e-6) + 3.5, _BLOCK_PX)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 1)

    @property
    def radius_px(self) -> int:
        return _BLOCK_PX * (len(self._taps) // 2 + 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sigma_px": self.sigma_px}
