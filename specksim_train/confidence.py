"""How far a network can be trusted, pixel by pixel: its own standard error.

The error's head is trained beside the displacement and has no influence on it: it sees the U-Net's last
features, the displacement and its error, but no gradient of its own goes back into any of them.
"""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from specksim.retrieval.alignment import align
from specksim_train.layers import Parameterless
from specksim_train.operations import block_means, enlarge, gaussian_taps, window_mean

_PACKAGE = "specksim"
ERROR_IN_SCALES = 1.3
"""Standard error in scales b of the Laplace likelihood. Were errors Gaussian, b would come out as 0.80 σ,
were they Laplacian as 0.71 σ; 1.3 b holds 70 % of the first within it and 73 % of the second, and within
1.96 times it 96 % and 92 %. What `calibrate` starts from."""
_WITHIN = 0.6827
_EVERY_PX = 3
_LEAST_FACTOR = 1e-3
_START_PX = 0.05
_LEAST_PX, _MOST_PX = 1e-4, 10.0
_BLOCK_PX = 4
_SCALE = "error_scale"


def standard_error(features: Any, shift: Any, misfit: Any | None = None) -> Any:
    """Standard errors (dx, dy), pixels, out of a network's last features, (B, H, W, 2) float32.

    Parameters
    ----------
    features : (B, H, W, F) tensor
    shift : (B, H, W, 2) tensor
        The displacement: what moves is found less well than what does not.
    misfit : (B, H, W, 1) tensor, optional
        Of `Misfit`.
    """
    both = layers.Concatenate(name="features_and_shift")([features, shift])
    own = Detached(name="error_features")(both)
    seen = [own, Surroundings(name="error_surroundings")(own)]
    if misfit is not None:
        seen.append(misfit)
    x = layers.Concatenate(name="error_input")(seen)
    for number in (1, 2):
        x = layers.Conv2D(32, 1, activation="relu", name=f"error_conv_{number}")(x)
    x = layers.Conv2D(2, 1, kernel_initializer="zeros", dtype="float32", name=_SCALE)(x)
    return Exponential(name="error")(x)


def calibrate(model: keras.Model, feed: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """Scale the standard errors of a network so that 68 % of its errors on held-out pairs lie within them.

    A network is surer of what it has learned by heart than it may be. Pairs are aligned as before a
    prediction.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    feed : iterable of (images, target)
        See `data.Batch`.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    ValueError
        If the network returns NaN or infinity.
    """
    ratios = []
    for images, target in feed:
        pairs = [align(image[..., 0], image[..., 1]) for image in images]
        whole = np.asarray(model.predict_on_batch(np.stack([pair for pair, _, _ in pairs])))
        drifts = np.array([[[[drift.dx, drift.dy]]] for _, drift, _ in pairs])
        ratio = np.abs(whole[..., :2] + drifts - target[..., :2]) / whole[..., 2:]
        ratios.append(ratio[:, ::_EVERY_PX, ::_EVERY_PX].ravel())
    factor = float(np.quantile(np.concatenate(ratios), _WITHIN))
    if not math.isfinite(factor):
        raise ValueError(
            "errors on the validation pairs must be finite, but the network returns NaN or infinity"
        )
    layer = model.get_layer(_SCALE)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.float32(math.log(max(factor, _LEAST_FACTOR)))])
    return factor


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


class _Windowed(Parameterless):
    """Means in a Gaussian window, computed on blocks of pixels.

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

    @property
    def radius_px(self) -> int:
        return _BLOCK_PX * (len(self._taps) // 2 + 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sigma_px": self.sigma_px}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Surroundings(_Windowed):
    """Local means of each channel: an error depends on what is near, which a pixel alone does not show."""

    def call(self, images: Any) -> Any:
        blocks = ops.average_pool(images, _BLOCK_PX, strides=_BLOCK_PX)
        return enlarge(window_mean(blocks, self._taps), _BLOCK_PX)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Misfit(_Windowed):
    """What is left between the reference and the sample pulled back: noise, and what was not found.

    Normalised images do not tell how many photons they are made of; this does. Input: (B, H, W, 2) of local
    mean 1. Output: (B, H, W, 1): ln of the root mean square of the difference in a Gaussian window, plus 3.5,
    which is about 0 at 2000 photons a pixel.
    """

    def call(self, pair: Any) -> Any:
        squares = block_means(ops.square(pair[..., 1] - pair[..., 0]), _BLOCK_PX)[..., None]
        return enlarge(0.5 * ops.log(window_mean(squares, self._taps) + 1e-6) + 3.5, _BLOCK_PX)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 1)
