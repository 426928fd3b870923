"""Pictures and model card of a run, and its scalars for TensorBoard."""

import importlib
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from specksim.files import write_atomically, write_text
from specksim_train import runs
from specksim_train.data import Batch

_EXAMPLES = 4


def write_report(run: Path, examples: Batch, radius_px: int) -> None:
    """Draw the curves and some examples, and write the model card, from what a run folder holds."""
    history = runs.load_checkpoint(run).history
    config = runs.read_config(run)
    draw_curves(history, run / "curves.png")
    draw_examples(run, examples)
    card = model_card(run.name, config, history, radius_px)
    write_text(run / runs.CARD, card)


def draw_curves(history: list[runs.Row], path: Path) -> None:
    """Endpoint errors and learning rate against epochs, as PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for prefix, pairs, style in (("", "training", "--"), ("val_", "validation", "-")):
        for name, pixels, colour in (("error_px", "all", "C0"), ("error_valid_px", "valid", "C1")):
            if prefix + name in history[0]:
                errors = [row[prefix + name] for row in history]
                left.semilogy(epochs, errors, style, color=colour, label=f"{pairs}, {pixels} pixels")
    left.set(ylabel="mean endpoint error (pixels)")
    left.legend()
    right.semilogy(epochs, [row["learning_rate"] for row in history])
    right.set(ylabel="learning rate")
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)


def draw_examples(run: Path, examples: Batch) -> None:
    """Truth, prediction and error of the first pairs, as PNG."""
    model = keras.saving.load_model(run / runs.BEST, compile=False, safe_mode=True)
    images, target = (maps[:_EXAMPLES] for maps in examples)
    found = keras.ops.convert_to_numpy(model(images))
    figure = Figure(figsize=(18, 3 * len(images)), layout="constrained")
    axes = np.atleast_2d(figure.subplots(len(images), 6))
    for row, (pair, truth, estimate) in zip(axes, zip(images, target, found, strict=True), strict=True):
        limit = max(float(np.percentile(np.hypot(truth[..., 0], truth[..., 1]), 99)), 0.01)
        _show(row[0], pair[..., 1], "sample (counts)", "gray", *np.percentile(pair[..., 1], [0.5, 99.5]))
        _show(row[1], truth[..., 0], "dx, truth (px)", "RdBu_r", -limit, limit)
        _show(row[2], estimate[..., 0], "dx, network (px)", "RdBu_r", -limit, limit)
        _show(row[3], truth[..., 1], "dy, truth (px)", "RdBu_r", -limit, limit)
        _show(row[4], estimate[..., 1], "dy, network (px)", "RdBu_r", -limit, limit)
        error = np.hypot(*np.moveaxis(estimate[..., :2] - truth[..., :2], -1, 0))
        _show(row[5], error, f"|error|, mean {error.mean():.3f} px", "viridis", 0, 0.5 * limit)
    _save(figure, run / "examples.png")


def _show(axis: Any, values: np.ndarray, title: str, colours: str, low: float, high: float) -> None:
    picture = axis.imshow(values, cmap=colours, vmin=low, vmax=high)
    axis.set_title(title)
    axis.figure.colorbar(picture, ax=axis, shrink=0.8)


def _save(figure: Figure, path: Path) -> None:
    canvas = FigureCanvasAgg(figure)
    write_atomically(path, lambda part: canvas.print_png(str(part)))


def model_card(name: str, config: dict[str, Any], history: list[runs.Row], radius_px: int) -> str:
    """What a network is, what it was trained on and how well it did, as Markdown."""
    settings, seen, domain = config["settings"], config["trained_on"], config["domain"]
    watched = "val_error_px" if "val_error_px" in history[0] else "error_px"
    best = history[runs.best_epoch(history, watched)]
    prefix = watched.removesuffix("error_px")
    source = f"{len(seen['content_hashes'])} file(s), {seen['pairs']} pairs"
    if config["simulate"] is not None:
        source = f"pairs simulated on the fly, {config['simulate']['pairs_per_epoch']} an epoch"
    photons = domain.get("photons_per_pixel")
    counts = "relative intensities" if photons is None else f"{photons[0]:.0f} to {photons[1]:.0f}"
    lines = [
        f"# {name}",
        "",
        f"Displacement of X-ray speckle from one reference and one sample image: {settings['architecture']}, "
        f"{settings['base_filters']} filters.",
        "",
        "| | |",
        "|---|---|",
        "| input | (B, H, W, 2) raw counts, (reference, sample); H and W multiples of 16 |",
        "| output | (B, H, W, 4) detector pixels: (dx, dy), reference → sample, and their standard errors |",
        f"| looks around | {radius_px} px at most |",
        f"| trained on | {source}; frames of {seen['frame'][0]} × {seen['frame'][1]} |",
        f"| trusted for displacements | up to {domain['displacement_px']:.2f} px |",
        f"| … visibility | {domain['visibility'][0]:.2f} to {domain['visibility'][1]:.2f} |",
        f"| … mean counts | {counts} |",
        f"| epochs | {len(history)}, best {best['epoch']:.0f} |",
        f"| mean endpoint error, all pixels | {best[prefix + 'error_px']:.4f} px |",
        f"| mean endpoint error, valid pixels | {best[prefix + 'error_valid_px']:.4f} px |",
        f"| R² against the zero predictor | {best[prefix + 'r2']:.3f} |",
        "",
        "The errors are those of the "
        + ("validation data." if prefix else "training data: none were held out."),
        "",
        "Trusted a tenth beyond the visibility and the counts that it was trained on, and in displacement as "
        "far as its architecture was found to follow; further out `predict` warns. Training data: "
        + (
            ", ".join(f"`{path}` ({digest[:12]})" for path, digest in seen["content_hashes"].items())
            or "none kept"
        )
        + ".",
        "",
    ]
    for setup in seen["setups"]:
        lines += ["```toml", setup.rstrip(), "```", ""]
    return "\n".join(lines)


def write_scalars(run: Path, row: runs.Row) -> None:
    """Add an epoch to RUN/tensorboard, where the package tensorboard is installed; it needs no TensorFlow."""
    if find_spec("tensorboard") is None:
        return
    events = importlib.import_module("tensorboard.compat.proto.event_pb2")
    summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    files = importlib.import_module("tensorboard.summary.writer.event_file_writer")
    scalars = [
        summaries.Summary.Value(tag=name, simple_value=value)
        for name, value in row.items()
        if name != "epoch"
    ]
    writer = files.EventFileWriter(str(run / "tensorboard"))
    writer.add_event(
        events.Event(wall_time=time.time(), step=int(row["epoch"]), summary=summaries.Summary(value=scalars))
    )
    writer.close()
