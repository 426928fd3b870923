"""Every picture."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from specksim.forward import SpecklePair
from specksim.setups import Setup

_GREY, _DIVERGING, _SEQUENTIAL = "gray", "RdBu_r", "viridis"


def preview(pair: SpecklePair, setup: Setup, path: str | Path) -> None:
    """Picture of a pair: images, truth, and a profile through the object, as PNG.

    Parameters
    ----------
    pair : SpecklePair
    setup : Setup
    path : path-like
        The picture's file; overwritten.
    """
    figure, axes = plt.subplots(2, 4, figsize=(15, 7), layout="constrained")
    units = "relative" if pair.reference.dtype == np.float32 else "counts"
    low, high = np.percentile(pair.reference[0], [0.5, 99.5])
    _map(axes[0, 0], pair.reference[0], setup, f"reference ({units})", _GREY, low, high)
    _map(axes[0, 1], pair.sample[0], setup, f"sample ({units})", _GREY, low, high)
    limit = max(float(np.percentile(np.hypot(pair.dx, pair.dy), 99)), 1e-3)
    _map(axes[0, 2], pair.dx, setup, "displacement dx (pixels)", _DIVERGING, -limit, limit)
    _map(axes[0, 3], pair.dy, setup, "displacement dy (pixels)", _DIVERGING, -limit, limit)
    _map(axes[1, 0], pair.phase, setup, "phase (rad)", _SEQUENTIAL)
    _map(axes[1, 1], pair.transmission, setup, "transmission", _SEQUENTIAL)
    _map(axes[1, 2], pair.valid, setup, "valid (1: ray optics holds)", _GREY, 0, 1)
    _profile(axes[1, 3], pair, setup)
    for axis in (axes[0, 2], axes[1, 0]):
        axis.axhline(_profile_row(pair) * setup.object_pixel_m * 1e3, color="k", lw=0.7, ls=":")
    figure.suptitle(
        f"pair {pair.index}: {pair.scene['geometry']}, {pair.scene['material']}, "
        f"{setup.beam.energy_kev:g} keV, {setup.propagation.sample_to_detector_m:g} m, "
        f"{setup.detector.pixel_size_um:g} µm pixels"
    )
    _save(figure, path)


def _map(
    axis: Axes,
    values: np.ndarray,
    setup: Setup,
    title: str,
    colours: str,
    low: float | None = None,
    high: float | None = None,
) -> None:
    height, width = (n * setup.object_pixel_m * 1e3 for n in values.shape)
    image = axis.imshow(
        values, cmap=colours, vmin=low, vmax=high, extent=(0, width, height, 0), interpolation="nearest"
    )
    axis.set(title=title, xlabel="x in the object (mm)", ylabel="y in the object (mm)")
    axis.figure.colorbar(image, ax=axis, shrink=0.85)


def _profile_row(pair: SpecklePair) -> int:
    """Row with the most displacement along columns: it passes through an object."""
    return int(np.argmax(np.abs(pair.dx).sum(axis=1)))


def _profile(axis: Axes, pair: SpecklePair, setup: Setup) -> None:
    row = _profile_row(pair)
    x = (np.arange(pair.dx.shape[1]) + 0.5) * setup.object_pixel_m * 1e3
    axis.plot(x, pair.dx[row], color="C0", label="dx")
    axis.plot(x, pair.dy[row], color="C1", label="dy")
    axis.set(
        title=f"profile, row {row} (dotted line)",
        xlabel="x in the object (mm)",
        ylabel="displacement (pixels)",
        xlim=(0, x[-1]),
    )
    phase = axis.twinx()
    phase.plot(x, pair.phase[row], color="0.4", ls="--", label="phase")
    phase.set_ylabel("phase (rad)")
    lines = axis.get_lines() + phase.get_lines()
    axis.legend(lines, [str(line.get_label()) for line in lines], loc="best")


def _save(figure: Figure, path: str | Path) -> None:
    try:
        figure.savefig(path, dpi=110, format="png")
    finally:
        plt.close(figure)
