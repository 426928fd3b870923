"""Pictures of a report: curves with bands, dots with intervals. One colour and marker a method throughout."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

# Okabe and Ito's colours, which the colour-blind tell apart, without yellow and black
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # not as many as colours: both together repeat late
_LINES = ("-", "--", "-.", ":")
_BOUND = "#555555"
_LABEL_CHARACTERS = 18
_LABEL_SHARE = 0.1  # of the width of an axis, for a number of three digits
_WIDTH_IN = 5.2  # narrow: scaled to a phone's screen the words must stay large enough
_RC: dict[Any, Any] = {
    "text.parse_math": False,  # labels are the user's
    "svg.hashsalt": "specksim",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Series:
    """Errors of one method along an axis, with intervals.

    Attributes
    ----------
    label : str
    number : int
        Of the method: its colour and marker.
    x, y, low, high : tuple of float
        NaN where there is no value, or no interval.
    line : int
        Of the number of exposures among those of the method: its style of line.
    """

    label: str
    number: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    line: int = 0

    @property
    def colour(self) -> str:
        return COLOURS[self.number % len(COLOURS)]

    @property
    def marker(self) -> str:
        return MARKERS[self.number % len(MARKERS)]


def curves(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    bound: tuple[Sequence[float], Sequence[float]] | None = None,
    bound_label: str = "",
    ticks: Sequence[float] = (),
) -> Figure:
    """Errors against something, logarithmic where the range asks for it, the Cramér–Rao bound drawn in.

    Parameters
    ----------
    series : sequence of Series
    x_label, y_label : str
        With units.
    bound : (x, y) or None
        The bound in the same units as the errors.
    bound_label : str
    ticks : sequence of float
        Where to write numbers on the x axis; as it comes if empty.
    """
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(_WIDTH_IN, 4.1 + _legend_in(len(series) + 1)), layout="constrained")
        axis = figure.subplots()
        for one in series:
            _draw(axis, one)
        if bound is not None:
            axis.plot(*bound, color=_BOUND, ls=(0, (4, 2)), lw=1.6, label=bound_label)
        _scale(axis, [x for one in series for x in one.x], ticks)
        axis.set(xlabel=x_label, ylabel=y_label)
        _legend(figure, axis)
    return figure


def headline(umpa: Series, levels: Sequence[tuple[Series, float]], y_label: str) -> Figure:
    """Error of one pair through networks, as lines across, against UMPA's over its number of exposures.

    Parameters
    ----------
    umpa : Series
    levels : sequence of (Series, float)
        A series of one point each, and the number of exposures at which UMPA's curve reaches it.
    y_label : str
    """
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(_WIDTH_IN, 4.2 + _legend_in(len(levels) + 1)), layout="constrained")
        axis = figure.subplots()
        _draw(axis, umpa)
        for level, met in levels:
            colour = level.colour
            axis.axhline(level.y[0], color=colour, lw=1.8, label=short(level.label, 90))
            if not math.isnan(level.low[0]):
                axis.axhspan(level.low[0], level.high[0], color=colour, alpha=0.2, lw=0)
            if umpa.x[0] < met < math.inf:
                axis.plot(met, level.y[0], "o", ms=10, mfc="none", mec="black", mew=1.5, zorder=5)
                axis.annotate(
                    f"{met:.1f}", (met, level.y[0]), xytext=(9, 9), textcoords="offset points",
                    fontsize=11, fontweight="bold", bbox={"fc": "white", "ec": "none", "pad": 1},
                )  # fmt: skip
            if met == math.inf:
                axis.annotate(
                    f"> {umpa.x[-1]:g}", (umpa.x[-1], level.y[0]), xytext=(0, 7), textcoords="offset points",
                    fontsize=11, fontweight="bold", ha="right",
                )  # fmt: skip
        _scale(axis, list(umpa.x), umpa.x)
        axis.set(xlabel="exposures given to UMPA", ylabel=y_label)
        _legend(figure, axis)
    return figure


def dots(categories: Sequence[str], series: Sequence[Series], x_label: str) -> Figure:
    """Errors by category, one line a category and one dot a method, with intervals.

    Parameters
    ----------
    categories : sequence of str
        From the top down.
    series : sequence of Series
        x are numbers of categories.
    x_label : str
        Of the errors, with units.
    """
    with mpl.rc_context(_RC):
        height = 1.0 + len(categories) * (0.22 + 0.14 * len(series)) + _legend_in(len(series))
        figure = Figure(figsize=(_WIDTH_IN, max(height, 2.6)), layout="constrained")
        axis = figure.subplots()
        step = 0.7 / max(len(series), 1)
        for order, one in enumerate(series):
            places = [x + step * (order - (len(series) - 1) / 2) for x in one.x]
            known = [not math.isnan(low) for low in one.low]
            axis.hlines(
                [y for y, k in zip(places, known, strict=True) if k],
                [low for low, k in zip(one.low, known, strict=True) if k],
                [high for high, k in zip(one.high, known, strict=True) if k],
                color=one.colour, lw=2.0, alpha=0.6,
            )  # fmt: skip
            inside = "white" if one.line else one.colour
            axis.plot(one.y, places, one.marker, c=one.colour, mfc=inside, ms=6, label=short(one.label))
        for border in range(1, len(categories)):
            axis.axhline(border - 0.5, color="#bbbbbb", lw=0.8)
        axis.set(yticks=range(len(categories)), ylim=(len(categories) - 0.5, -0.5), xlabel=x_label)
        axis.set_yticklabels([_wrapped(name) for name in categories])
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        if all(y > 0 for one in series for y in one.y if not math.isnan(y)):
            _logarithmic(axis, "x", [x for one in series for x in (*one.y, *one.low, *one.high)])
        _legend(figure, axis)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture as SVG or PNG, by the ending of its path; the same picture gives the same SVG."""
    with mpl.rc_context(_RC):
        FigureCanvasAgg(figure)  # not pyplot: the caller's backend is left as it is
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # of the user's labels
            figure.savefig(path, dpi=200, metadata=metadata, facecolor="white")


def _draw(axis: Axes, one: Series) -> None:
    style = _LINES[one.line % len(_LINES)]
    axis.plot(
        one.x, one.y, color=one.colour, marker=one.marker, ms=6, lw=1.6, ls=style, label=short(one.label)
    )
    axis.fill_between(one.x, one.low, one.high, color=one.colour, alpha=0.18, lw=0)


def _scale(axis: Axes, x: Sequence[float], ticks: Sequence[float]) -> None:
    """Logarithmic axes where values are positive and wide apart."""
    drawn = [float(value) for line in axis.get_lines() for value in np.asarray(line.get_ydata())]
    bands = [band.get_datalim(axis.transData) for band in axis.collections]
    if all(value > 0 for value in drawn if not math.isnan(value)):
        _logarithmic(axis, "y", [*drawn, *(end for band in bands for end in (band.y0, band.y1))])
    if min(x) > 0 and max(x) / min(x) >= 5:
        _logarithmic(axis, "x", x)
    if ticks:
        axis.set_xticks(list(ticks), _tick_labels(axis, ticks), minor=False)
        axis.xaxis.set_minor_formatter(NullFormatter())


def _tick_labels(axis: Axes, ticks: Sequence[float]) -> list[str]:
    """Three digits of each; nothing where the one before leaves no room."""
    to_share = axis.transScale + axis.transLimits
    low, labels = -math.inf, []
    for tick in ticks:
        (place,) = to_share.transform([(tick, axis.get_ylim()[0])])[:, 0]
        labels.append(f"{float(f'{tick:.3g}'):g}" if place - low >= _LABEL_SHARE else "")
        low = place if labels[-1] else low
    return labels


def _logarithmic(axis: Axes, which: str, values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers on it, also between the decades where it spans few."""
    axis.set(**{f"{which}scale": "log"})
    known = [value for value in values if 0 < value < math.inf]
    spans = max(known) / min(known) if known else 1.0
    ruler = {"x": axis.xaxis, "y": axis.yaxis}[which]
    plain = FuncFormatter(lambda value, _: f"{value:.3g}" if 1e-3 <= value < 1e5 else f"{value:.0e}")
    ruler.set_major_formatter(plain)
    if spans < 3:
        low, high = min(known), max(known)
        ruler.set_minor_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        ruler.set_minor_formatter(plain)
        axis.set(**{f"{which}lim": (low / 1.25, high * 1.25)})
    elif spans < 100:
        ruler.set_minor_formatter(
            FuncFormatter(lambda value, _: plain(value, 0) if f"{value:.0e}"[0] in "25" else "")
        )
    else:
        ruler.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    columns = 1 if max((len(label) for label in labels), default=0) > 24 else 2
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9)


def _legend_in(entries: int) -> float:
    """Room for a legend of one column, inches."""
    return 0.19 * entries


def short(label: str, longest: int = 44) -> str:
    """A label that fits a legend: the middle of a long one left out; none begins with an underscore."""
    if len(label) > longest:
        half = (longest - 1) // 2
        label = f"{label[:half]}…{label[-half:]}"
    return f" {label}" if label.startswith("_") else label


def _wrapped(name: str) -> str:
    lines: list[str] = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _LABEL_CHARACTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
