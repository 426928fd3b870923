"""The folder that a training run leaves behind, and its checkpoint.

config.json       all that is needed to repeat the run, data hashes included; what it was trained on
best.keras        the network of the epoch with the least validation loss
last.keras        the network of the last epoch
history.csv       one row an epoch
checkpoint.npz    weights, optimiser and history of the last epoch, for --resume
curves.png, examples.png, model-card.md
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specksim.files import DAMAGED_NPZ, write_atomically, write_text

CONFIG, BEST, LAST = "config.json", "best.keras", "last.keras"
HISTORY, CHECKPOINT, CARD = "history.csv", "checkpoint.npz", "model-card.md"

Row = dict[str, float]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after an epoch; learning rate and patience follow from the history.

    Attributes
    ----------
    weights, optimizer : list of arrays
        In the order of the model's and the optimiser's variables.
    history : list of dict
        One row an epoch.
    """

    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    history: list[Row]


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of a run, in one piece."""
    arrays = {f"weight_{k:04d}": value for k, value in enumerate(checkpoint.weights)}
    arrays |= {f"optimizer_{k:04d}": value for k, value in enumerate(checkpoint.optimizer)}
    arrays["history"] = np.frombuffer(json.dumps(checkpoint.history).encode(), np.uint8)
    write_atomically(run / CHECKPOINT, lambda part: _save_arrays(part, arrays))


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_checkpoint(run: Path) -> Checkpoint:
    """Read the checkpoint of a run; nothing in it is executed.

    Raises
    ------
    ValueError
        If the file is damaged.
    OSError
        If there is none.
    """
    path = run / CHECKPOINT
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            groups = {
                group: [stored[name] for name in sorted(stored.files) if name.startswith(f"{group}_")]
                for group in ("weight", "optimizer")
            }
            history = json.loads(stored["history"].tobytes())
    except DAMAGED_NPZ as error:
        raise ValueError(f"{path}: not a checkpoint, or damaged: {error}") from None
    return Checkpoint(groups["weight"], groups["optimizer"], history)


def write_config(run: Path, config: dict[str, Any]) -> None:
    """Write config.json."""
    text = json.dumps(config, indent=2, sort_keys=False) + "\n"
    write_text(run / CONFIG, text)


def read_config(run: Path) -> dict[str, Any]:
    """Read config.json.

    Raises
    ------
    ValueError
        If it is not JSON.
    OSError
        If there is none: the folder is no run.
    """
    path = run / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not a run's configuration: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path}: not a run's configuration")
    return config


def write_history(run: Path, history: Sequence[Row]) -> None:
    """Write history.csv; with the rows of earlier epochs, so that a resumed run appends."""
    text = io.StringIO()
    if history:
        writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
    write_text(run / HISTORY, text.getvalue())


def is_run(path: Path) -> bool:
    """Whether a folder holds a run with a trained network."""
    return (path / CONFIG).is_file() and (path / BEST).is_file()


def find_runs(folder: Path) -> list[Path]:
    """Runs in a folder and the folders in it."""
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return [path for path in candidates if is_run(path)]


def summary(run: Path) -> str:
    """A run in one line: architecture, epochs, errors of its best epoch."""
    settings = read_config(run).get("settings", {})
    words = f"{settings.get('architecture', '?')}, {settings.get('base_filters', '?')} filters"
    if not (run / HISTORY).is_file():
        return words
    with (run / HISTORY).open(encoding="utf-8", newline="") as file:
        history = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    if not history:
        return words
    prefix = "val_" if "val_error_px" in history[0] else ""
    best = history[best_epoch(history, f"{prefix}error_px")]
    return (
        f"{words}, epoch {best['epoch']:.0f} of {len(history)}: "
        f"error {best[prefix + 'error_px']:.4f} px, valid pixels {best[prefix + 'error_valid_px']:.4f} px"
    )


# --- what follows from a history alone -------------------------------------------------------------------


def best_epoch(history: Sequence[Row], watched: str) -> int:
    """Index of the row with the least value of `watched`."""
    return min(range(len(history)), key=lambda epoch: history[epoch][watched])


def epochs_since_best(history: Sequence[Row], watched: str) -> int:
    """Epochs that have passed without an improvement."""
    return len(history) - 1 - best_epoch(history, watched) if history else 0


def cosine_rate(initial: float, epoch: int, epochs: int) -> float:
    """Learning rate that falls along a cosine to 1 % of its initial value in the last epoch."""
    done = epoch / max(1, epochs - 1)
    return initial * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def plateau_rate(initial: float, history: Sequence[Row], watched: str, patience: int) -> float:
    """Learning rate that is halved whenever `patience` epochs have brought no improvement."""
    rate, best, waited = initial, math.inf, 0
    for row in history:
        if row[watched] < best:
            best, waited = row[watched], 0
        else:
            waited += 1
            if waited >= patience:
                rate, waited = rate / 2, 0
    return rate
