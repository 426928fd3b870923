"""The networks: functional Keras 3 models of two images, on any backend.

A trainable model takes (B, H, W, 2) raw counts, channels (reference, sample), H and W multiples of 16, and
returns (B, H, W, 4), detector pixels: (dx, dy), from reference to sample, and their standard errors.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from specksim_train.confidence import Misfit, standard_error
from specksim_train.layers import Channels, IteratedShift, LocalNormalization, PullBack, WindowedShifts
from specksim_train.tiling import MULTIPLE

DEPTH = 4  # poolings by two: sizes must be multiples of 2**DEPTH

_ANY_SIZE = (None, None, 2)
_WINDOWS_PX = (1.5, 3.0, 8.0)
_SHIFT_SCALE = 4.0  # brings displacements of some 0.1 px to the size of the other channels

Shape = tuple[int | None, int | None, int]


def build_unet(
    input_shape: Shape = (256, 256, 2), num_classes: int = 2, base_filters: int = 64
) -> keras.Model:
    """The published U-Net, bare: no normalisation, two images in, `num_classes` maps out.

    Four blocks of two 3×3 ReLU convolutions, each followed by 2×2 max pooling; a bridge; four blocks of a 2×2
    transposed convolution of stride 2, the skip, and two 3×3 ReLU convolutions; a 1×1 linear output.

    Parameters
    ----------
    input_shape : (int or None, int or None, int)
        Rows, columns, channels; rows and columns multiples of 16, or None for any multiple.
    num_classes : int
        Maps in the output, >= 1.
    base_filters : int
        Filters of the first block, >= 1; doubled by each that follows.

    Returns
    -------
    keras.Model
        31,031,234 parameters with 64 filters, 1,940,978 with 16.

    Raises
    ------
    ValueError
        If a size is not a multiple of 16, or a number is < 1.
    """
    _check_shape(input_shape)
    _check_counts(num_classes=num_classes, base_filters=base_filters)
    images = keras.Input(input_shape, name="images")
    maps = _maps(_features(images, base_filters), num_classes)
    return keras.Model(images, maps, name="unet")


def build_plain_unet(input_shape: Shape = _ANY_SIZE, base_filters: int = 64) -> keras.Model:
    """The published U-Net behind a local normalisation: counts in, pixels out.

    Parameters
    ----------
    input_shape, base_filters
        As of `build_unet`, with two channels.

    Returns
    -------
    keras.Model
    """
    _check_images(input_shape, base_filters)
    counts = keras.Input(input_shape, name="images")
    contrast = Channels(0, 2, offset=-1.0, name="contrast")(LocalNormalization(name="normalized")(counts))
    features = _features(contrast, base_filters)
    shift = _maps(features, 2)
    whole = layers.Concatenate(dtype="float32", name="shift_and_error")(
        [shift, standard_error(features, shift)]
    )
    return keras.Model(counts, whole, name="plain_unet")


def build_guided_unet(input_shape: Shape = _ANY_SIZE, base_filters: int = 64) -> keras.Model:
    """A U-Net that corrects a windowed estimate computed in the graph from the same two images.

    Four rounds of windowed shifts (Gaussian windows of sigma 8, 8, 8 and 3 px), each pulling the sample back
    by the estimate so far, give a first displacement. The U-Net sees the reference, the sample pulled back,
    that estimate, what windows of sigma 1.5, 3 and 8 px still find between the two, and how much is left
    between them; its output is added to the estimate. Its last layer starts at zero: an untrained network
    returns the estimate.

    Parameters
    ----------
    input_shape, base_filters
        As of `build_unet`, with two channels.

    Returns
    -------
    keras.Model
    """
    _check_images(input_shape, base_filters)
    counts = keras.Input(input_shape, name="images")
    pair = LocalNormalization(name="normalized")(counts)
    first = IteratedShift(name="first_estimate")(pair)
    pulled = PullBack(name="pulled_back")([pair, first])
    found = WindowedShifts(_WINDOWS_PX, name="windows")(pulled)
    features = [
        Channels(0, 2, offset=-1.0, name="contrast")(pulled),
        Channels(0, 2, name="estimate")(first),
    ]
    for k, sigma_px in enumerate(_WINDOWS_PX):
        name = f"window_{sigma_px:g}px".replace(".", "_")
        features += [
            Channels(3 * k, 3 * k + 2, scale=_SHIFT_SCALE, name=f"{name}_shift")(found),
            Channels(3 * k + 2, 3 * k + 3, offset=-1.0, name=f"{name}_transmission")(found),
        ]
    misfit = Misfit(name="misfit")(pulled)
    seen = _features(layers.Concatenate(name="features")([*features, misfit]), base_filters)
    shift = layers.Add(name="displacement", dtype="float32")([first, _maps(seen, 2, start="zeros")])
    error = standard_error(seen, shift, misfit)
    whole = layers.Concatenate(dtype="float32", name="shift_and_error")([shift, error])
    return keras.Model(counts, whole, name="guided_unet")


ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    "guided-unet": build_guided_unet,
    "unet": build_plain_unet,
}
LARGEST_PX = {"guided-unet": 5.0, "unet": 3.0}
"""Of a displacement that is not that of the whole frame, beyond which it is lost: `benchmarks/linearity.py
--part`."""


def build(architecture: str, base_filters: int) -> keras.Model:
    """A trainable model by the name of its architecture.

    Raises
    ------
    ValueError
        If the name is unknown, or an argument is out of range.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
    return ARCHITECTURES[architecture](_ANY_SIZE, base_filters)


def receptive_radius_px(model: keras.Model) -> int:
    """How far from an output pixel, along an axis, an input pixel can lie that still matters, pixels.

    An upper bound, from the layers: kernels, pooling, windows as they are truncated, and the reach of the
    pull-back. Beyond it a tile and the whole image agree, if tiles start at multiples of 16.

    Raises
    ------
    TypeError
        If the model has a layer whose reach is unknown.
    """
    state: dict[int, tuple[int, int]] = {}  # (radius, stride) of every tensor
    for operation in model.operations:
        node = operation._inbound_nodes[0]
        inputs = [state[id(tensor)] for tensor in node.input_tensors]
        radius = max((radius for radius, _ in inputs), default=0)
        stride = min((stride for _, stride in inputs), default=1)
        for tensor in node.output_tensors:
            state[id(tensor)] = _extend(operation, radius, stride)
    return max(state[id(tensor)][0] for tensor in model.outputs)


def _extend(layer: Any, radius: int, stride: int) -> tuple[int, int]:
    """Radius and stride behind a layer."""
    if hasattr(layer, "radius_px"):
        return radius + layer.radius_px, stride
    if isinstance(layer, layers.Conv2DTranspose):
        return radius + stride // 2, stride // layer.strides[0]
    if isinstance(layer, layers.Conv2D):
        return radius + layer.kernel_size[0] // 2 * stride, stride
    if isinstance(layer, layers.MaxPooling2D):
        return radius + stride, stride * layer.pool_size[0]
    if isinstance(layer, layers.InputLayer | layers.Concatenate | layers.Add):
        return radius, stride
    raise TypeError(f"the reach of layer {layer.name!r} ({type(layer).__name__}) is unknown")


def float32_copy(model: keras.Model) -> keras.Model:
    """The same network and weights in float32, for a model that was built under a mixed precision policy."""
    config = _without_policies(keras.saving.serialize_keras_object(model))
    copy = keras.saving.deserialize_keras_object(config, safe_mode=True)
    copy.set_weights([np.asarray(weight, np.float32) for weight in model.get_weights()])
    return copy


def _without_policies(config: Any) -> Any:
    """A serialised model with every layer's dtype policy replaced by float32."""
    if isinstance(config, list | tuple):
        return type(config)(_without_policies(item) for item in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
        return "float32"
    return {key: _without_policies(value) for key, value in config.items() if key != "compile_config"}


def _features(images: Any, base_filters: int) -> Any:
    """The graph of the U-Net but for its last layer, see `build_unet`: (B, H, W, base_filters)."""
    skips = []
    x = images
    for level in range(DEPTH):
        x = _block(x, base_filters * 2**level, f"encoder_{level + 1}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"pool_{level + 1}")(x)
    x = _block(x, base_filters * 2**DEPTH, "bridge")
    for level in reversed(range(DEPTH)):
        filters = base_filters * 2**level
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up_{level + 1}")(x)
        x = layers.Concatenate(name=f"skip_{level + 1}")([x, skips[level]])
        x = _block(x, filters, f"decoder_{level + 1}")
    return x


def _maps(features: Any, maps: int, start: str = "glorot_uniform") -> Any:
    """The last layer: float32 under any policy, displacements of 0.001 px do not fit into half precision."""
    return layers.Conv2D(maps, 1, kernel_initializer=start, dtype="float32", name="output")(features)


def _block(x: Any, filters: int, name: str) -> Any:
    for number in (1, 2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"{name}_conv_{number}")(x)
    return x


def _check_images(input_shape: Shape, base_filters: int) -> None:
    _check_shape(input_shape)
    if input_shape[2] != 2:
        raise ValueError(f"input_shape must have 2 channels, reference and sample, got {input_shape}")
    _check_counts(base_filters=base_filters)


def _check_shape(input_shape: Shape) -> None:
    if len(input_shape) != 3 or any(size is not None and size < 1 for size in input_shape):
        raise ValueError(f"input_shape must be (rows, columns, channels), got {input_shape}")
    if any(size is not None and size % MULTIPLE for size in input_shape[:2]):
        raise ValueError(f"rows and columns must be multiples of {MULTIPLE}, got {input_shape[:2]}")


def _check_counts(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
