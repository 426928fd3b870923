"""A trained network for other programs: ONNX and TensorFlow's SavedModel, checked against Keras."""

import importlib
import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

FORMATS = {"onnx": "onnx", "saved_model": "tf_saved_model"}
"""Our name of each format, and Keras's."""

TOLERANCE_PX = 1e-4
_NEEDED = {"onnx": ("onnx", "tf2onnx", "onnxruntime", "tensorflow"), "saved_model": ("tensorflow",)}
_EXTRA = {"onnx": "specksim[train,onnx]", "saved_model": "specksim[train]"}
_CHECKED_SHAPES = ((1, 64, 64), (2, 48, 96))  # more than one: any size and number of images must go through

Run = Callable[[np.ndarray], np.ndarray]


def export(
    model: Any, target: str | os.PathLike[str], *, file_format: str = "onnx", overwrite: bool = False
) -> float:
    """Export a model and compare the result with it.

    Parameters
    ----------
    model : keras.Model
        (B, H, W, 2) counts to (B, H, W, 4) maps; see `inference.Network`.
    target : path-like
        The .onnx file, or the folder of a SavedModel.
    file_format : {"onnx", "saved_model"}
    overwrite : bool
        Replace an existing target.

    Returns
    -------
    float
        Largest difference between the exported model and Keras on speckle images of two sizes, px; at most
        1e-4.

    Raises
    ------
    ValueError
        If the format is unknown.
    FileExistsError
        If the target exists and `overwrite` is not set.
    RuntimeError
        If a package is missing (says what to install), the export fails, or the exported model differs by
        more than 1e-4 px; no target is left then.
    """
    if file_format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {file_format!r}")
    require_packages(file_format)
    path = Path(target)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; --overwrite replaces it")
    part = path.with_name(f"{path.name}.part")
    _remove(part)
    try:
        _write(model, part, file_format)
        difference = largest_difference(model, _OPENERS[file_format](part))
        if not difference <= TOLERANCE_PX:
            raise RuntimeError(
                f"{path}: the exported model must agree with Keras within {TOLERANCE_PX:g} px, "
                f"got {difference:.3g} px"
            )
        if path.exists():
            _remove(path)
        part.replace(path)
    finally:
        _remove(part)
    return difference


def require_packages(file_format: str) -> None:
    """Check that what a format needs is installed.

    Raises
    ------
    RuntimeError
        If a package is missing; says which, and how to install it.
    """
    missing = [name for name in _NEEDED[file_format] if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"export to {file_format} needs {', '.join(missing)}: pip install '{_EXTRA[file_format]}'"
        )


def largest_difference(model: Any, run: Run) -> float:
    """Largest difference between a model and another program's run of it, on speckle images, px."""
    rng = np.random.default_rng(0)
    differences = []
    for shape in _CHECKED_SHAPES:
        images = _speckle_pairs(rng, shape)
        ours = np.asarray(model(images, training=False), np.float32)
        differences.append(float(np.abs(run(images) - ours).max()))
    return max(differences)  # NaN, if there is one, stays: it compares false with any limit


def _speckle_pairs(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Pairs of one speckle pattern and the same, 0.4 pixels on, with photon noise; (B, H, W, 2) float32."""
    pattern = ndimage.gaussian_filter(rng.normal(size=shape), (0, 1.2, 1.2), mode="wrap")
    reference = np.exp(0.4 * pattern / pattern.std())
    sample = 0.6 * reference + 0.4 * np.roll(reference, 1, axis=2)
    return rng.poisson(1000 * np.stack([reference, sample], axis=-1)).astype(np.float32)


def _write(model: Any, part: Path, file_format: str) -> None:
    model(_speckle_pairs(np.random.default_rng(0), _CHECKED_SHAPES[0]))  # what was never called has no graph
    try:
        model.export(str(part), format=FORMATS[file_format], verbose=False)
    except Exception as error:  # converters raise whatever they please
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RuntimeError(f"export to {file_format} failed: {reason}") from error


def _open_onnx(part: Path) -> Run:
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {name: images})[0])

    return run


def _open_saved_model(part: Path) -> Run:
    import tensorflow as tf

    served = tf.saved_model.load(str(part))

    def run(images: np.ndarray) -> np.ndarray:
        return np.asarray(served.serve(images))

    return run


_OPENERS: dict[str, Callable[[Path], Run]] = {"onnx": _open_onnx, "saved_model": _open_saved_model}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
