"""What notebooks show in place of a name: tables of values, and maps side by side."""

import html
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

_UNITS = {"dx": "px", "dy": "px", "dx_error": "px", "dy_error": "px", "phase": "rad"}
_COLOURS = {"dx": "RdBu_r", "dy": "RdBu_r", "phase": "viridis"}


def table(title: str, rows: Iterable[Sequence[object]]) -> str:
    """A table as HTML.

    Parameters
    ----------
    title : str
    rows : iterable of sequences
        The cells of each; a single one is a heading.
    """
    lines = [f"<table><caption>{html.escape(title)}</caption>"]
    for row in rows:
        start, end = ('<th colspan="9"', "</th>") if len(row) == 1 else ("<td", "</td>")
        cells = (f'{start} style="text-align:left">{html.escape(str(cell))}{end}' for cell in row)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def picture(title: str, maps: Mapping[str, np.ndarray]) -> bytes:
    """Maps side by side as PNG, axes in pixels.

    Displacements share one scale, symmetric about 0; the outermost per cent is left out.

    Parameters
    ----------
    title : str
    maps : mapping of str to (H, W) array
        By names of `SpecklePair` and `Retrieval`, which tell the units and the colours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(maps), 4)
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(3 * columns, 2.8 * rows + 0.4), layout="compressed")
    FigureCanvasAgg(figure)  # not pyplot: the notebook's backend is left as it is
    shifts = [np.percentile(np.abs(maps[name]), 99) for name in ("dx", "dy") if name in maps]
    limit = max([1e-3, *map(float, shifts)])
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(maps) :]:
        axis.set_axis_off()
    for axis, (name, values) in zip(axes, maps.items(), strict=False):
        moved = name in ("dx", "dy")
        low, high = (-limit, limit) if moved else np.percentile(values, [0.5, 99.5])
        shown = axis.imshow(
            values, cmap=_COLOURS.get(name, "gray"), vmin=low, vmax=high, interpolation="nearest"
        )
        axis.set_title(f"{name} ({_UNITS[name]})" if name in _UNITS else name, fontsize="medium")
        axis.tick_params(labelsize="small")
        figure.colorbar(shown, ax=axis, shrink=0.8).ax.tick_params(labelsize="small")
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80, format="png", bbox_inches="tight")
    return buffer.getvalue()
