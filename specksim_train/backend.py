"""What depends on Keras' backend: devices, determinism, compilation. The only place that names backends."""

import contextlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras

import specksim


def has_accelerator() -> bool:
    """Whether the backend sees anything but a CPU."""
    return any(not device.lower().startswith("cpu") for device in keras.distribution.list_devices())


def should_compile() -> bool | str:
    """`jit_compile`: XLA on accelerators. On CPU it makes a step 1.6 times slower (TensorFlow)."""
    if has_accelerator():
        return "auto"
    return keras.backend.backend() == "jax"


def mixed_policy() -> str:
    """The mixed precision of these devices: CPUs have instructions for bfloat16 alone, if any."""
    return "mixed_float16" if has_accelerator() else "mixed_bfloat16"


def make_deterministic() -> None:
    """Operations that give the same bits in every run."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def share(devices: int) -> Iterator[None]:
    """Share each batch between the first `devices` devices: accelerators, where there are any.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    if devices == 1:
        yield
        return
    found = keras.distribution.list_devices()
    if len(found) < devices:
        raise ValueError(
            f"devices must be <= {len(found)}, what {keras.backend.backend()} sees, got {devices}"
        )
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(found[:devices]).scope():
            yield
        return
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=found[:devices]))
    try:
        yield
    finally:
        keras.distribution.set_distribution(None)


def is_mixed(model: keras.Model) -> bool:
    """Whether any layer computes in less than float32."""
    return any(layer.compute_dtype != "float32" for layer in model.layers)


def versions() -> dict[str, Any]:
    """Versions of what a result depends on."""
    found = {"specksim": specksim.__version__, "keras": keras.__version__, "backend": keras.backend.backend()}
    for name in ("tensorflow", "tensorflow-cpu", "jax", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
