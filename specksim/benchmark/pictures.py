"""The pictures of a report, with caption and words for those who cannot see them."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from specksim.benchmark import charts
from specksim.benchmark.results import Data
from specksim.benchmark.tables import VALID, capital, described, heading, number, series_name
from specksim.benchmark.view import Number, Row, View, crossing

_ERROR = heading("epe_mean", "mean endpoint error, valid pixels")
_BANDS = "Bands: 95 % of bootstraps over the pairs."
_RAYLEIGH = math.sqrt(math.pi / 2)  # mean length of a normal error of unit σ in each of two axes
_BOUND_NAME = "Cramér–Rao bound, 13 px window"
BOUND = (
    "Dashed lines are the Cramér–Rao bound of one pair for one displacement in a window of 13 × 13 pixels, "
    "times √(π/2), the mean length of such an error; it falls with the root of the number of exposures. It "
    "holds for estimates without bias: larger windows and a prior go below it."
)
_DASHED = " Dashed: the Cramér–Rao bound described above."


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes
    ----------
    name : str
        Of its files, without their ending.
    figure : matplotlib Figure
    caption, alt : str
    """

    name: str
    figure: Figure
    caption: str
    alt: str


@dataclass(frozen=True)
class Finding:
    """One pair through a method against UMPA with many: what the headline figure says.

    Attributes
    ----------
    method : str
    level : Number
        Error of one pair, px.
    exposures : float
        That UMPA needs for the same error; inf if its last number of exposures is not enough, 1 if one is.
    fewest, most_needed : float
        The same for the ends of the interval of the error.
    most : int
        Exposures that UMPA was given at most.
    """

    method: str
    level: Number
    exposures: float
    fewest: float
    most_needed: float
    most: int

    def words(self, name: str) -> str:
        """In a clause."""
        error = f"{name}, one pair: {number(self.level.value)} px"
        if self.exposures <= 1:
            return f"{error}; UMPA is there with one exposure"
        return f"{error}; UMPA needs {self.needed()} exposures for that"

    def needed(self) -> str:
        """The exposures that UMPA needs, with what the interval of the error makes of them."""
        if self.exposures == math.inf:
            beyond = f"more than {self.most}"
            return f"{beyond} ({self.fewest:.0f}–{beyond})" if self.fewest < math.inf else beyond
        if self.exposures <= 1:
            return "1 or less"
        needed = f"{self.exposures:.0f}"
        if math.isnan(self.level.low):
            return needed
        last = f"{self.most_needed:.0f}" if self.most_needed < math.inf else f"over {self.most}"
        return f"{needed} ({self.fewest:.0f}–{last})"


def findings(view: View, data: str) -> tuple[str, list[Finding]]:
    """UMPA's name on a data set with several exposures, and what single pairs through networks reach.

    Empty where there is no such curve, or no method that takes single pairs only.
    """
    rows = view.rows(data)
    own = [method for method in view.methods if view.is_umpa(method)]
    for umpa in sorted(own, key=lambda label: "@" in label):  # rather the one whose window was not fixed
        points = _points(view, data, (row for row in rows if row.method == umpa))
        if len(points) > 1:
            break
    else:
        return "", []
    single = {entry.label for entry in view.results.methods if entry.single_pair}
    found = []
    for row in rows:
        level = view.number(data, row, "epe_mean")
        if row.exposures == 1 and row.method in single and level.value > 0:
            counts, errors = zip(*((row.exposures, value.value) for row, value in points), strict=True)
            needed, fewest, most = (
                crossing(counts, errors, error) if error > 0 else math.nan
                for error in (level.value, level.high, level.low)
            )
            found.append(Finding(row.method, level, needed, fewest, most, max(counts)))
    return umpa, found


def headline(view: View, data: Data) -> Picture | None:
    """Error of one pair through networks against the number of exposures UMPA needs for the same."""
    umpa, found = findings(view, data.name)
    if not found:
        return None
    rows = [row for row in view.rows(data.name) if row.method == umpa]
    line = _over_exposures(view, data.name, rows, "UMPA")
    levels = []
    for finding in found:
        label = finding.method
        words = f"{charts.short(label, 30)}, 1 pair: UMPA needs {finding.needed()}"
        one = _series(view, finding.method, words, [1.0], [finding.level])
        levels.append((one, finding.exposures))
    words = ". ".join(finding.words(finding.method) for finding in found)
    return Picture(
        _file_name("headline", data.name),
        charts.headline(line, levels, _ERROR),
        f"{capital(data.title)}: error of one pair through single-pair methods (lines across) against "
        f"the error of {umpa} over its number of exposures. Circle: the exposures UMPA needs for the same "
        "error, on straight lines in the logarithms; in brackets for the ends of the interval of the error "
        f"across. From {described(data)}. {_BANDS}",
        f"Curve of UMPA falling with the exposures, crossed by lines. {words}.",
    )


def exposures(view: View, data: Data) -> Picture | None:
    """Error against the number of exposures, for the methods that take several."""
    rows = view.rows(data.name)
    series = []
    for method in view.methods:
        own = [row for row in rows if row.method == method]
        if len(_points(view, data.name, own)) > 1:
            series.append(_over_exposures(view, data.name, own, method))
    if not series:
        return None
    counts = sorted({row.exposures for row in rows})
    line = None
    if data.bounded:
        line = (counts, [_RAYLEIGH * data.bound_px / math.sqrt(count) for count in counts])
    figure = charts.curves(series, "exposures of each pair", _ERROR, line, _BOUND_NAME, counts)
    caption = (
        f"{capital(data.title)}: error against the number of exposures, from {described(data)}. {_BANDS}"
    )
    caption += _DASHED if line else ""
    return Picture(_file_name("exposures", data.name), figure, caption, _in_words(series))


def along_axis(view: View, axis: str, data: Sequence[Data]) -> Picture | None:
    """Error against a property of the data."""
    rows = view.rows(*(entry.name for entry in data))
    series = []
    for row in rows:
        found = [(e.value, view.number(e.name, row, "epe_mean")) for e in data]
        found = [(x, y) for x, y in found if not math.isnan(y.value)]
        if found:
            line = [other.exposures for other in rows if other.method == row.method].index(row.exposures)
            label = series_name(row, rows)
            x, y = zip(*found, strict=True)
            series.append(_series(view, row.method, label, x, y, line))
    if not series:
        return None
    known = [(e.value, _RAYLEIGH * e.bound_px) for e in data if e.bounded]
    bound = ([x for x, _ in known], [y for _, y in known]) if known else None
    unit = data[0].unit
    label = axis if not unit else unit if axis in unit else f"{axis} ({unit})"
    figure = charts.curves(series, label, _ERROR, bound, _BOUND_NAME, _few([e.value for e in data]))
    pairs = sorted({e.pairs for e in data})
    many = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    caption = (
        f"Error against {axis}: {len(data)} data sets of {many} pairs each, each method at its best window "
        f"of each condition, unless its name fixes one. {_BANDS}{_DASHED if bound else ''}"
    )
    return Picture(_file_name("curve", axis), figure, caption, _in_words(series))


def by_category(
    view: View, name: str, categories: Sequence[tuple[str, str, str]], caption: str
) -> Picture | None:
    """Dots of the error by category, (words, data, group); methods with one exposure, and with the most."""
    categories = [
        (words, data, group)
        for words, data, group in categories
        if any(view.number(data, row, "epe_mean", VALID, group).value > 0 for row in view.rows(data))
    ]
    rows = view.rows(*(data for _, data, _ in categories))
    series = []
    for method in view.methods:
        counts = sorted({row.exposures for row in rows if row.method == method})
        for line, count in enumerate(sorted({counts[0], counts[-1]}) if counts else []):
            row = Row(method, count)
            found = [view.number(data, row, "epe_mean", VALID, group) for _, data, group in categories]
            points = [(float(place), value) for place, value in enumerate(found) if value.value > 0]
            if points:
                label = series_name(row, rows)
                places, values = [x for x, _ in points], [y for _, y in points]
                series.append(_series(view, method, label, places, values, line))
    if not series:
        return None
    figure = charts.dots([words for words, _, _ in categories], series, _ERROR)
    alt = "; ".join(
        f"{one.label}: "
        + ", ".join(f"{categories[int(x)][0]} {number(y)}" for x, y in zip(one.x, one.y, strict=True))
        for one in series
    )
    return Picture(_file_name(*name.split("/")), figure, caption, f"Errors in px. {alt}.")


def _points(view: View, data: str, rows: Iterable[Row]) -> list[tuple[Row, Number]]:
    """The errors that there are, by exposures."""
    found = ((row, view.number(data, row, "epe_mean")) for row in rows)
    return sorted(((row, value) for row, value in found if value.value > 0), key=lambda p: p[0].exposures)


def _over_exposures(view: View, data: str, rows: Sequence[Row], label: str) -> charts.Series:
    points = _points(view, data, rows)
    return _series(
        view, rows[0].method, label, [float(row.exposures) for row, _ in points], [y for _, y in points]
    )


def _series(
    view: View, method: str, label: str, x: Sequence[float], found: Sequence[Number], line: int = 0
) -> charts.Series:
    y, low, high, _ = zip(*found, strict=True)
    return charts.Series(label, view.methods.index(method), tuple(x), y, low, high, line)


def _in_words(series: Sequence[charts.Series]) -> str:
    parts = (
        f"{one.label} from {number(one.y[0])} px at {one.x[0]:g} to {number(one.y[-1])} px at {one.x[-1]:g}"
        for one in series
    )
    return f"Curves of the mean endpoint error: {'; '.join(parts)}."


def _few(values: Sequence[float]) -> Sequence[float]:
    """All the values where they are not too many to be written below an axis."""
    return values if len(values) <= 7 else ()


def _file_name(*parts: str) -> str:
    return "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)
