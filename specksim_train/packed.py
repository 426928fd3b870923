"""Networks as they are shipped: weights in half precision, what they were trained on, and a model card.

A folder of three files: weights.npz (float16), config.json and model-card.md, those of the run. Half of the
size costs nothing that can be measured: weights are rounded by 0.05 % at most.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from specksim.files import DAMAGED_NPZ
from specksim_train import runs

WEIGHTS = "weights.npz"


def is_packed(folder: Path) -> bool:
    """Whether a folder holds a packed network."""
    return (folder / WEIGHTS).is_file() and (folder / runs.CONFIG).is_file()


def pack(run: Path, target: Path) -> None:
    """Pack the best network of a run.

    Parameters
    ----------
    run : Path
        A run folder of `specksim-train fit`.
    target : Path
        The folder to write; must not exist.

    Raises
    ------
    ValueError
        If `run` holds no network with a configuration.
    FileExistsError
        If the target exists.
    """
    import keras

    import specksim_train.architectures  # noqa: F401  registers the layers that the file names

    if not runs.is_run(run):
        raise ValueError(f"{run}: must be a run folder with {runs.CONFIG} and {runs.BEST}")
    model = keras.saving.load_model(run / runs.BEST, compile=False, safe_mode=True)
    target.mkdir()
    arrays = {f"weight_{k:04d}": value.astype(np.float16) for k, value in enumerate(model.get_weights())}
    np.savez_compressed(target / WEIGHTS, **arrays)
    shutil.copyfile(run / runs.CONFIG, target / runs.CONFIG)
    _, _, card = (run / runs.CARD).read_text(encoding="utf-8").partition("\n")
    (target / runs.CARD).write_text(f"# {target.name}\n{card}", encoding="utf-8")


def unpack(folder: Path) -> Any:
    """The Keras model of a packed network, in float32.

    Raises
    ------
    ValueError
        If the folder is damaged, or its weights do not fit its architecture.
    """
    from specksim_train import architectures

    try:
        settings = runs.read_config(folder)["settings"]
        model = architectures.build(settings["architecture"], settings["base_filters"])
        with (folder / WEIGHTS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            model.set_weights([stored[name].astype(np.float32) for name in sorted(stored.files)])
    except (TypeError, *DAMAGED_NPZ) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{folder}: not a packed network, or damaged: {reason[0]}") from None
    return model
