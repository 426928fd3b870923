"""A picture of what was retrieved."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from specksim.retrieval.result import MAPS, Retrieval

_COLOURS = {"dx": "RdBu_r", "dy": "RdBu_r", "phase": "viridis"}


def draw_retrieval(retrieval: Retrieval, path: str | Path) -> None:
    """Picture of every map of a retrieval, as PNG.

    Displacements share one scale, symmetric about 0, that leaves out the outermost per cent.

    Parameters
    ----------
    retrieval : Retrieval
    path : path-like
        The picture's file; overwritten.
    """
    maps = retrieval.maps()
    trusted = retrieval.quality > 0
    length = np.hypot(retrieval.dx, retrieval.dy)
    limit = max(float(np.percentile(length[trusted] if trusted.any() else length, 99)), 1e-3)
    columns = min(len(maps), 3)
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(5 * columns, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)  # not pyplot: the caller's backend is left as it is
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(maps) :]:
        axis.set_visible(False)
    for axis, (name, values) in zip(axes.flat, maps.items(), strict=False):
        units, meaning = MAPS[name]
        if name in ("dx", "dy"):
            low, high = -limit, limit
        else:
            low, high = np.percentile(values[trusted] if trusted.any() else values, [0.5, 99.5])
        shown = axis.imshow(
            values, cmap=_COLOURS.get(name, "gray"), vmin=low, vmax=high, interpolation="nearest"
        )
        axis.set(title=meaning, xlabel="column (pixel)", ylabel="row (pixel)")
        label = f"{name} ({units})" if units else name
        figure.colorbar(shown, ax=axis, shrink=0.85, extend="both", label=label)
    figure.suptitle(f"{retrieval.method}: {retrieval.parameters.get('model', '')}".rstrip(": "))
    figure.savefig(path, dpi=110, format="png")
