"""Tables of a report: which rows and columns, how numbers are written, what is marked."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from specksim.benchmark.metrics import METRICS
from specksim.benchmark.results import Data
from specksim.benchmark.view import NONE, Number, Row, View, score

VALID, ALL, PAIR = "valid", "all", ""
MARKED = (
    "Bold, in the report with a star: the best value of the table; for the mean endpoint error also those "
    "that a paired bootstrap finds no different from it (95 %). Median, 95 % and what follows are of the "
    "valid pixels; the intervals of all figures are in results.csv."
)


@dataclass(frozen=True)
class Cell:
    """What stands in a table.

    Attributes
    ----------
    text : str
    key : float or None
        By which to sort; by the text if None.
    best : bool
    """

    text: str
    key: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    caption: str
    head: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)


def number(value: float, signed: bool = False) -> str:
    """A number with three digits as people write it; a dash for NaN.

    >>> number(0.03104), number(-2.5e-5, signed=True), number(2345.6)
    ('0.0310', '−2.50·10⁻⁵', '2346')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    size = abs(value)
    if size and not 9.995e-5 <= size < 9.995e5:
        digits, _, power = f"{size:.2e}".partition("e")
        raised = str(int(power)).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
        return f"{sign}{digits}·10{raised}"
    if size >= 999.5:
        return f"{sign}{size:.0f}"
    return sign + (f"{size:#.3g}".removesuffix(".") if size else "0")


def with_interval(found: Number, signed: bool = False) -> str:
    """A number with its 95 % interval in brackets, where there is one."""
    value = number(found.value, signed)
    if math.isnan(found.low) or math.isnan(found.high):
        return value
    return f"{value} [{number(found.low, signed)}, {number(found.high, signed)}]"


def heading(metric: str, words: str) -> str:
    """Words of a column's head with the unit of a metric."""
    unit = METRICS[metric].unit
    return f"{words} ({unit})" if unit else words


def value_cell(metric: str, found: Number, best: bool = False, interval: bool = True) -> Cell:
    """A number as a cell, with or without its interval."""
    signed = metric.startswith("bias")
    key = None if math.isnan(found.value) else score(metric, found.value) if signed else found.value
    return Cell(with_interval(found, signed) if interval else number(found.value, signed), key, best)


def row_head(row: Row) -> tuple[Cell, Cell]:
    """Method and exposures."""
    return Cell(row.method), Cell(str(row.exposures), row.exposures)


_Columns = list[tuple[str, list[Cell]]]


def main_table(view: View, data: Data) -> Table | None:
    """Everything about a data set as a whole, one row a method and number of exposures; None if empty."""
    name = data.name
    rows = view.rows(name)
    columns: _Columns = [
        _metric(view, name, rows, "epe_mean", VALID, "mean error, valid"),
        _metric(view, name, rows, "epe_mean", ALL, "mean error, all"),
        _metric(view, name, rows, "epe_median", VALID, "median"),
        _metric(view, name, rows, "epe_p95", VALID, "95 % below"),
        _two(view, name, rows, ("rmse_dx", "rmse_dy"), "RMSE dx / dy"),
        _two(view, name, rows, ("bias_dx", "bias_dy"), "bias dx / dy"),
        _metric(view, name, rows, "r2", VALID, "R²"),
        *(
            _metric(view, name, rows, "epe_mean", ALL, group, group)
            for group in view.groups(name)
            if group.startswith("zero motion")
        ),
        _metric(view, name, rows, "phase_rmse", PAIR, "phase RMSE"),
    ]
    columns = _filled(columns)
    if not columns and not any(view.failures(name, row) for row in rows):
        return None
    failed = [view.failures(name, row) for row in rows]
    columns.insert(0, ("failures", [Cell(f"{n} of {data.pairs}" if n else "0", n) for n in failed]))
    columns += _filled(
        [
            _metric(view, name, rows, "seconds", PAIR, "time a pair"),
            _metric(view, name, rows, "peak_mb", PAIR, "memory"),
        ]
    )
    return _assembled(view, rows, columns, f"{capital(data.title)}: {described(data)}.")


def group_table(view: View, data: Data, groups: Sequence[str], what: str) -> Table | None:
    """Mean endpoint error by group, one row a method, number of exposures and kind of pixels."""
    name = data.name
    rows = [(row, pixels) for row in view.rows(name) for pixels in (VALID, ALL)]
    columns: _Columns = []
    for group in groups:
        best = {
            pixels: view.best(name, view.rows(name), "epe_mean", pixels, group) for pixels in (VALID, ALL)
        }
        cells = [
            value_cell("epe_mean", view.number(name, row, "epe_mean", pixels, group), row in best[pixels])
            for row, pixels in rows
        ]
        shown = group.split(" ", 1)[1] if group.startswith(("geometry ", "material ")) else group
        columns.append((heading("epe_mean", shown), cells))
    columns = _filled(columns)
    if not columns:
        return None
    table = Table(
        f"{capital(data.title)}: mean endpoint error by {what}, from {described(data)}.",
        ("method", "exposures", "pixels", *(head for head, _ in columns)),
    )
    for number_, (row, pixels) in enumerate(rows):
        values = [column[number_] for _, column in columns]
        if any(cell.text != "–" for cell in values):
            table.rows.append((*row_head(row), Cell(pixels), *values))
    return table


def metric_table(
    view: View, data: Iterable[Data], wanted: Sequence[tuple[str, str, str]], caption: str
) -> Table | None:
    """Whole-pair metrics of several data sets: (group, metric, words of the head) a column."""
    places = [(entry, row) for entry in data for row in view.rows(entry.name)]
    columns: _Columns = []
    for group, metric, words in wanted:
        cells = []
        for entry, row in places:
            best = view.best(entry.name, view.rows(entry.name), metric, PAIR, group)
            found = view.number(entry.name, row, metric, PAIR, group)
            cells.append(value_cell(metric, found, row in best))
        columns.append((heading(metric, words), cells))
    columns = _filled(columns)
    if not columns:
        return None
    measured = [
        any(view.number(entry.name, row, metric, PAIR, group) is not NONE for group, metric, _ in wanted)
        for entry, row in places
    ]
    table = Table(caption, ("data", "method", "exposures", *(head for head, _ in columns)))
    for number_, (entry, row) in enumerate(places):
        if measured[number_]:  # also where the figure is NaN: 90 % may be reached nowhere
            values = [column[number_] for _, column in columns]
            table.rows.append((Cell(entry.title), *row_head(row), *values))
    return table


def condition_table(view: View, data: Sequence[Data], caption: str, axis: str = "") -> Table | None:
    """Mean endpoint error, one row a data set and kind of pixels, one column a method and exposures."""
    rows = view.rows(*(entry.name for entry in data))
    heads = tuple(heading("epe_mean", series_name(row, rows)) for row in rows)
    table = Table(caption, (axis or "data", "pixels", *heads, "failures"))
    for entry in data:
        failed = sum(view.failures(entry.name, row) for row in rows)
        first = Cell(number(entry.value), entry.value) if axis else Cell(entry.title)
        for pixels in (VALID, ALL):
            best = view.best(entry.name, rows, "epe_mean", pixels)
            found = {row: view.number(entry.name, row, "epe_mean", pixels) for row in rows}
            if any(value is not NONE for value in found.values()) or failed:
                cells = (value_cell("epe_mean", found[row], row in best) for row in rows)
                table.rows.append((first, Cell(pixels), *cells, Cell(str(failed), failed)))
    return table if table.rows else None


def settings_table(view: View) -> Table | None:
    """What was chosen for each method, and all that was tried."""
    table = Table(
        "Options of each method and how they were chosen: the mean endpoint error (px) of what was tried "
        "on validation data, which share no sandpaper with the data compared on.",
        (
            "data",
            "method",
            "exposures",
            "options",
            "for valid pixels",
            "chosen on",
            "tried: all, valid (px)",
            "warnings",
        ),
    )
    titles = {entry.name: entry.title for entry in view.results.data}
    for entry in view.results.settings:
        table.rows.append(
            (
                Cell(titles.get(entry.data, entry.data)),
                *row_head(Row(entry.method, entry.exposures)),
                *(
                    Cell(", ".join(f"{key} {value}" for key, value in options.items()) or "none")
                    for options in (entry.options, entry.valid_options)
                ),
                Cell(entry.chosen_on),
                Cell(
                    "; ".join(
                        f"{words}: {number(errors['all'])}, {number(errors['valid'])}"
                        for words, errors in entry.tried.items()
                    )
                    or "–"
                ),
                Cell("; ".join(entry.warnings) or "–"),
            )
        )
    return table if table.rows else None


def failure_table(view: View) -> Table | None:
    """Every failure with its message."""
    table = Table(
        "Pairs that a method failed on, or whose result does not show the body to be measured. They are in "
        "none of the means of that.",
        ("data", "method", "exposures", "pair", "message"),
    )
    for f in view.results.failures:
        table.rows.append(
            (
                Cell(f.data),
                *row_head(Row(f.method, f.exposures)),
                Cell(str(f.pair), f.pair),
                Cell(f.message),
            )
        )
    return table if table.rows else None


def capital(text: str) -> str:
    """The text with a capital letter in front."""
    return f"{text[:1].upper()}{text[1:]}"


def described(data: Data) -> str:
    """A data set in a few words, for captions."""
    steps = f" of {data.steps} exposures" if data.steps > 1 else ""
    pairs = "1 pair" if data.pairs == 1 else f"{data.pairs} pairs"
    return f"{pairs}{steps} of {data.name}"


def series_name(row: Row, rows: Sequence[Row]) -> str:
    """A method, with its number of exposures where it has several."""
    if len({other.exposures for other in rows if other.method == row.method}) == 1 == row.exposures:
        return row.method
    return f"{row.method}, {row.exposures} exposure{'s' * (row.exposures > 1)}"


def _metric(
    view: View, data: str, rows: list[Row], metric: str, pixels: str, words: str, group: str = "all"
) -> tuple[str, list[Cell]]:
    best = view.best(data, rows, metric, pixels, group)
    interval = metric == "epe_mean" and group == "all"  # the rest is in results.csv: too wide for a screen
    found = [view.number(data, row, metric, pixels, group) for row in rows]
    cells = [value_cell(metric, n, row in best, interval) for row, n in zip(rows, found, strict=True)]
    return heading(metric, words), cells


def _two(
    view: View, data: str, rows: list[Row], metrics: tuple[str, str], words: str
) -> tuple[str, list[Cell]]:
    """Two components in a column, the best by the larger."""
    signed = metrics[0].startswith("bias")
    values = [[view.number(data, row, metric).value for metric in metrics] for row in rows]
    sizes = [max((abs(value) for value in pair), default=math.nan) for pair in values]
    known = [size for size in sizes if not math.isnan(size)]
    differing = len(set(known)) > 1
    cells = []
    for pair, size in zip(values, sizes, strict=True):
        if math.isnan(size):
            cells.append(Cell("–"))
        else:
            text = " / ".join(number(value, signed) for value in pair)
            cells.append(Cell(text, size, differing and size == min(known)))
    return heading(metrics[0], words), cells


def _filled(columns: _Columns) -> _Columns:
    """Columns that hold something."""
    return [column for column in columns if any(cell.text != "–" for cell in column[1])]


def _assembled(view: View, rows: list[Row], columns: _Columns, caption: str) -> Table:
    table = Table(caption, ("method", "exposures", *(head for head, _ in columns)))
    for number_, row in enumerate(rows):
        table.rows.append((*row_head(row), *(cells[number_] for _, cells in columns)))
    return table
