"""Pictures of pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from specksim.forward import SpecklePair
from specksim.setups import Setup

_GREY, _DIVERGING, _SEQUENTIAL = "gray", "RdBu_r", "viridis"


def contact_sheet(pairs: Sequence[SpecklePair], setup: Setup, path: str | Path) -> None:
    """Picture of several pairs side by side: sample, displacement, phase, as PNG.

    Parameters
    ----------
    pairs : sequence of SpecklePair
    setup : Setup
    path : path-like
        The picture's file; overwritten.
    """
    figure = Figure(figsize=(3.1 * len(pairs), 9.5), layout="compressed")
    axes = figure.subplots(4, len(pairs), squeeze=False)
    for column, pair in enumerate(pairs):
        low, high = np.percentile(pair.sample[0], [0.5, 99.5])
        limit = max(float(np.percentile(np.hypot(pair.dx, pair.dy), 99)), 1e-3)
        for axis, values, colours, bounds in (
            (axes[0, column], pair.sample[0], _GREY, (low, high)),
            (axes[1, column], pair.dx, _DIVERGING, (-limit, limit)),
            (axes[2, column], pair.dy, _DIVERGING, (-limit, limit)),
            (axes[3, column], pair.phase, _SEQUENTIAL, (None, None)),
        ):
            image = axis.imshow(values, colours, vmin=bounds[0], vmax=bounds[1], interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            figure.colorbar(image, ax=axis, shrink=0.85)
        axes[0, column].set_title(f"{pair.scene['geometry']}\n{pair.scene['material']}", fontsize="medium")
    units = "relative" if pairs[0].sample.dtype == np.float32 else "counts"
    for axis, name in zip(
        axes[:, 0], (f"sample ({units})", "dx (px)", "dy (px)", "phase (rad)"), strict=True
    ):
        axis.set_ylabel(name)
    rows, columns = (n * setup.object_pixel_m * 1e3 for n in pairs[0].dx.shape)
    figure.supxlabel(f"frames of {columns:.3g} × {rows:.3g} mm in the object", fontsize="medium")
    _save(figure, path)


def preview(pair: SpecklePair, setup: Setup, path: str | Path) -> None:
    """Picture of a pair: images, truth, and a profile through the object, as PNG.

    Parameters
    ----------
    pair : SpecklePair
    setup : Setup
    path : path-like
        The picture's file; overwritten.
    """
    figure = Figure(figsize=(15, 7), layout="compressed")
    axes = figure.subplots(2, 4)
    units = "relative" if pair.reference.dtype == np.float32 else "counts"
    low, high = np.percentile([pair.reference[0], pair.sample[0]], [0.5, 99.5])
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
        axis.axhline((_profile_row(pair) + 0.5) * setup.object_pixel_m * 1e3, color="k", lw=0.7, ls=":")
    cone = f", M = {setup.magnification:.3g}" if setup.magnification > 1 else ""
    figure.suptitle(
        f"pair {pair.index}: {pair.scene['geometry']}, {pair.scene['material']}, "
        f"{setup.beam.energy_kev:g} keV, {setup.propagation.sample_to_detector_m:g} m, "
        f"{setup.detector.pixel_size_um:g} µm pixels{cone}"
    )
    _save(figure, path)


def fidelity(
    by_rays: SpecklePair, by_waves: SpecklePair, kept: np.ndarray, setup: Setup, path: str | Path
) -> None:
    """Picture of one pair by rays and by waves: the samples, how far they are apart, and `valid`, as PNG.

    Parameters
    ----------
    by_rays, by_waves : SpecklePair
        Alike but for their sample images.
    kept : (H, W) bool array
        Pixels in which rays are to be trusted.
    setup : Setup
    path : path-like
        The picture's file; overwritten.
    """
    figure = Figure(figsize=(15, 7), layout="compressed")
    axes = figure.subplots(2, 3)
    low, high = np.percentile(by_waves.sample[0], [0.5, 99.5])
    _map(axes[0, 0], by_rays.sample[0], setup, "sample by rays", _GREY, low, high)
    _map(axes[0, 1], by_waves.sample[0], setup, "sample by waves", _GREY, low, high)
    error = (by_rays.sample[0] - by_waves.sample[0]) / by_waves.reference[0].std()
    _map(axes[0, 2], error, setup, "(rays − waves) / contrast", _DIVERGING, -0.5, 0.5)
    _map(axes[1, 0], np.hypot(by_rays.dx, by_rays.dy), setup, "displacement |d| (pixels)", _SEQUENTIAL)
    _map(axes[1, 1], by_rays.valid, setup, "valid (1: ray optics holds)", _GREY, 0, 1)
    inside = np.where(kept, error, np.nan)
    _map(axes[1, 2], inside, setup, "the same where rays are trusted", _DIVERGING, -0.05, 0.05)
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
    cut = low is not None and high is not None and not low <= values.min() <= values.max() <= high
    axis.figure.colorbar(image, ax=axis, shrink=0.85, extend="both" if cut else "neither")


def _profile_row(pair: SpecklePair) -> int:
    """Row with the most displacement along columns: it passes through an object."""
    return int(np.argmax(np.abs(pair.dx).sum(axis=1)))


def _profile(axis: Axes, pair: SpecklePair, setup: Setup) -> None:
    row = _profile_row(pair)
    x = (np.arange(pair.dx.shape[1]) + 0.5) * setup.object_pixel_m * 1e3
    axis.plot(x, pair.dx[row], color="C0", label="dx (px)")
    axis.plot(x, pair.dy[row], color="C1", label="dy (px)")
    axis.set(
        title=f"profile, row {row} (dotted line)",
        xlabel="x in the object (mm)",
        xlim=(0, pair.dx.shape[1] * setup.object_pixel_m * 1e3),
    )
    phase = axis.twinx()
    phase.plot(x, pair.phase[row], color="0.4", ls="--", label="phase")
    phase.set_ylabel("phase (rad)")
    for twin in (axis, phase):  # room for the legend below the curves
        low, high = twin.get_ylim()
        twin.set_ylim(low - 0.2 * (high - low), high)
    lines = axis.get_lines() + phase.get_lines()
    axis.legend(
        lines,
        [str(line.get_label()) for line in lines],
        loc="lower center",
        ncols=3,
        fontsize="small",
        columnspacing=0.8,
        handlelength=1.2,
    )


def _save(figure: Figure, path: str | Path) -> None:
    FigureCanvasAgg(figure)  # not pyplot: the caller's backend is left as it is
    figure.savefig(path, dpi=110, format="png")
