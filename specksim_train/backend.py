"""What depends on Keras' backend: devices, hosts, determinism, compilation."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras

import specksim

_ADDRESSES, _COUNT, _INDEX = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)


_MOST_READERS = 8


def has_accelerator() -> bool:
    """Whether the backend sees anything but a CPU."""
    return any(not device.lower().startswith("cpu") for device in keras.distribution.list_devices())


def should_compile() -> bool | str:
    """`jit_compile`: XLA on accelerators. On CPU it makes a step 1.6 times slower (TensorFlow)."""
    if has_accelerator():
        return "auto"
    return keras.backend.backend() == "jax"


def make_deterministic() -> None:
    """Operations that give the same bits in every run."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def can_mix() -> bool:
    """Whether bfloat16 can be relied on: not in XLA's convolutions on CPUs, which are all that JAX has."""
    return has_accelerator() or keras.backend.backend() != "jax"


def keep_float32() -> None:
    """Have accelerators compute float32 in float32: unasked they round factors to 10 bits, for speed."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "float32")


def reader_count() -> int:
    """Processes that prepare batches of files: none where the CPU itself trains, it has no time to spare."""
    return min(_MOST_READERS, len(os.sched_getaffinity(0)) - 1) if has_accelerator() else 0


@dataclass(frozen=True)
class Host:
    """This process among those that train together, each on its own machine, and all their devices.

    Attributes
    ----------
    index, count : int
        0 <= index < count.
    devices : int or None
        Of all hosts; None for a process that has not joined any.
    """

    index: int = 0
    count: int = 1
    devices: int | None = None

    def part(self, items: int) -> slice:
        """Its equal part of that many items."""
        each = items // self.count
        return slice(self.index * each, (self.index + 1) * each)


ALONE = Host()


def join(addresses: str | None = None, index: int | None = None) -> Host:
    """Join the processes that train together; returns when all are there.

    Parameters
    ----------
    addresses : str, optional
        HOST:PORT of every process, separated by commas; the first one's port is opened there. Default: Keras'
        KERAS_DISTRIBUTION_JOB_ADDRESSES, and KERAS_DISTRIBUTION_NUM_PROCESSES where that holds the first
        alone.
    index : int, optional
        This process among them. Default: KERAS_DISTRIBUTION_PROCESS_ID.

    Raises
    ------
    ValueError
        If the backend is not JAX, the index is none of them, or their number contradicts itself.
    RuntimeError
        If the others cannot be reached.
    """
    addresses = addresses or os.environ.get(_ADDRESSES, "")
    places = addresses.split(",")
    counted = os.environ.get(_COUNT, "") or str(len(places))
    if not counted.isdecimal() or int(counted) < 1 or len(places) not in (1, int(counted)):
        raise ValueError(f"{_COUNT} must be the number of hosts, {addresses!r}, got {counted!r}")
    count = int(counted)
    given = os.environ.get(_INDEX, "") if index is None else str(index)
    if not given.isdecimal() or int(given) >= count:
        raise ValueError(
            f"the index of this process (--host, or {_INDEX}) must be 0 to {count - 1}, got {given!r}"
        )
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"several hosts need Keras' JAX backend, got {keras.backend.backend()}: set KERAS_BACKEND=jax"
        )
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        # not Keras' own, which lets JAX look for a cluster: in a SLURM task that takes one GPU of all
        jax.distributed.initialize(places[0], count, int(given), cluster_detection_method="deactivate")
    except Exception as error:  # XlaRuntimeError of whatever happens on the way
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RuntimeError(f"the hosts {addresses} cannot be reached: {reason[0]}") from None
    return Host(int(given), count, len(keras.distribution.list_devices()))


class HostLost(RuntimeError):
    """What trains together has lost a process, or a device; JAX cannot shut down in order any more."""


_OF_OTHERS = ("Gloo", "NCCL", "coordination service", "heartbeat", "onnection")
"""Words of the errors that come of another process."""


@contextlib.contextmanager
def _all_hosts() -> Iterator[None]:
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    try:
        yield
    except Exception as error:  # of JAX, or what layers above it made of that
        if not any(words in str(error) for words in _OF_OTHERS):
            raise
        reason = str(error).strip().splitlines()[0]
        message = f"another host or device of the training was lost; start all again with --resume ({reason})"
        raise HostLost(message) from None
    finally:
        keras.distribution.set_distribution(None)


def meet(host: Host) -> None:
    """Wait until all hosts are here: JAX gives an exit 300 s, and then ends those who still work."""
    if host.devices is not None:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("specksim")


@contextlib.contextmanager
def undistributed() -> Iterator[None]:
    """Build models for this process alone, whatever has been distributed around it."""
    around = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(around)


@contextlib.contextmanager
def share(devices: int, host: Host) -> Iterator[None]:
    """Share each batch between the first `devices` devices, or between all those of all hosts.

    Raises
    ------
    ValueError
        If there are not as many.
    HostLost
        If a computation fails that all hosts take part in.
    """
    if host.devices is not None:
        with _all_hosts():
            yield
        return
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
