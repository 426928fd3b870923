"""Keras, loaded when it is needed: one clear line where it is missing, and no chatter of compiled code."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec


def load_backend() -> None:
    """Load Keras and its backend.

    Raises
    ------
    ModuleNotFoundError
        If Keras or its backend is missing; says what to install.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported, or not at all
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if find_spec("keras") is None or find_spec(backend) is None:
        raise ModuleNotFoundError(
            f"needs Keras and {backend}: pip install 'specksim[train]'"
            + ("" if backend == "tensorflow" else f", and {backend}")
        )
    with native_chatter_held():
        import_module("keras")


@contextlib.contextmanager
def native_chatter_held() -> Iterator[None]:
    """Keep back what compiled code writes to stderr, and show it if there was an error.

    TensorFlow greets with lines that look like errors on each import, whatever its log level.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
