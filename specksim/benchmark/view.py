"""What a report asks of the results: numbers by name, rows in order, which is best, where curves cross."""

import dataclasses
import itertools
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from specksim.benchmark.arguments import RESOLUTION, ROBUSTNESS
from specksim.benchmark.metrics import METRICS
from specksim.benchmark.results import Data, Results, read_results


class Number(NamedTuple):
    """A measured value with its 95 % interval and the pairs that it is of; NaN where there is none."""

    value: float
    low: float
    high: float
    pairs: int = 0


class Row(NamedTuple):
    """A method with so many exposures of each pair."""

    method: str
    exposures: int


NONE = Number(math.nan, math.nan, math.nan)
_Key = tuple[str, str, int, str, str, str]


@dataclass(frozen=True)
class View:
    """The results of a benchmark, as `read_view` makes it.

    Attributes
    ----------
    results : Results
    methods : tuple of str
        As the figures name them, in the order of the report.
    numbers : dict
        (data, method, exposures, metric, pixels, group) → Number.
    alike : set
        (data, pixels, metric, Row, Row) of what was compared and found no different, in both orders.
    """

    results: Results
    methods: tuple[str, ...]
    numbers: dict[_Key, Number]
    alike: set[tuple[str, str, str, Row, Row]] = field(default_factory=set)

    def number(self, data: str, row: Row, metric: str, pixels: str = "valid", group: str = "all") -> Number:
        """The value asked for, or `NONE`."""
        return self.numbers.get((data, *row, metric, pixels, group), NONE)

    def rows(self, *data: str) -> list[Row]:
        """Methods and exposures that were run on any of some data sets: results or failures."""
        seen = {Row(key[1], key[2]) for key in self.numbers if key[0] in data}
        seen |= {Row(f.method, f.exposures) for f in self.results.failures if f.data in data}
        return sorted(seen, key=lambda row: (self.methods.index(row.method), row.exposures))

    def groups(self, data: str) -> list[str]:
        """Groups of pixels or pairs of a data set, in the order of the file."""
        return list(dict.fromkeys(key[5] for key in self.numbers if key[0] == data))

    def is_umpa(self, method: str) -> bool:
        """Whether the method is UMPA, with whatever options."""
        return any(entry.label == method and entry.name == "umpa" for entry in self.results.methods)

    def plain_sets(self) -> list[Data]:
        """Data sets that are a table each: on no axis, or alone on theirs."""
        axes = [entry.axis for entry in self.results.data]
        return [
            entry
            for entry in self.results.data
            if not entry.axis or (entry.axis not in (ROBUSTNESS, RESOLUTION) and axes.count(entry.axis) == 1)
        ]

    def curves(self) -> dict[str, list[Data]]:
        """Axis → its data sets, by value, for axes of at least two."""
        found: dict[str, list[Data]] = {}
        for entry in self.results.data:
            if entry.axis not in ("", ROBUSTNESS, RESOLUTION) and math.isfinite(entry.value):
                found.setdefault(entry.axis, []).append(entry)
        return {
            axis: sorted(entries, key=lambda entry: entry.value)
            for axis, entries in found.items()
            if len(entries) > 1
        }

    def robustness(self) -> list[Data]:
        """Data sets that the networks were not trained for."""
        return [entry for entry in self.results.data if entry.axis == ROBUSTNESS]

    def failures(self, data: str, row: Row) -> int:
        """How many pairs a method has failed on."""
        own = (f for f in self.results.failures if (f.data, f.method, f.exposures) == (data, *row))
        return len({f.pair for f in own})

    def best(self, data: str, rows: Iterable[Row], metric: str, pixels: str, group: str = "all") -> set[Row]:
        """The best rows by a metric: the one of the best value, and what was found no different from it.

        None where there is nothing to choose from, and of what a machine's load or rounding decides.
        """
        if metric in ("seconds", "peak_mb") or group == "zero motion, identical":
            return set()
        values = {row: self.number(data, row, metric, pixels, group) for row in rows}
        most = max((found.pairs for found in values.values()), default=0)
        scores = {  # a method that failed on the hard pairs is not the best for that
            row: score(metric, found.value)
            for row, found in values.items()
            if not math.isnan(found.value) and found.pairs == most
        }
        if len(set(scores.values())) < 2:
            return set()
        least = min(scores.values())
        winners = {row for row, found in scores.items() if found == least}
        if group != "all":
            return winners
        near = {
            row for row in scores for first in winners if (data, pixels, metric, row, first) in self.alike
        }
        return winners | near


def score(metric: str, value: float) -> float:
    """How far the value is from that of a perfect method."""
    return abs(value - METRICS[metric].best)


def read_view(folder: Path) -> View:
    """The results in a folder, as they may be shown; errors as `read_results`."""
    results = _without_control(read_results(folder))
    numbers = {
        (f.data, f.method, f.exposures, f.metric, f.pixels, f.group): Number(f.value, f.low, f.high, f.pairs)
        for f in results.figures
    }
    alike = set()
    for c in results.comparisons:
        if not c.different:
            a, b = Row(c.a, c.exposures_a), Row(c.b, c.exposures_b)
            alike |= {(c.data, c.pixels, c.metric, *pair) for pair in ((a, b), (b, a))}
    used = {key[1] for key in numbers} | {f.method for f in results.failures}
    declared = [name for entry in results.methods for name in (entry.label, entry.name)]
    methods = tuple(name for name in dict.fromkeys([*declared, *sorted(used)]) if name in used)
    return View(results, methods, numbers, alike)


def _without_control(value: Any) -> Any:
    """The same with blanks for what cannot be shown: escapes, halves of characters, marks of direction."""
    if isinstance(value, str):
        return "".join(" " if unicodedata.category(c)[0] == "C" and c != "\n" else c for c in value)
    if isinstance(value, list):
        return [_without_control(item) for item in value]
    if isinstance(value, dict):
        return {_without_control(key): _without_control(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (item.name for item in dataclasses.fields(value))
        return dataclasses.replace(value, **{name: _without_control(getattr(value, name)) for name in names})
    return value


def crossing(exposures: Sequence[int], errors: Sequence[float], level: float) -> float:
    """Number of exposures at which a falling curve reaches a level, between points on log-log lines.

    Parameters
    ----------
    exposures : sequence of int
        Rising.
    errors : sequence of float
        The curve, > 0.
    level : float
        Error to be reached, > 0.

    Returns
    -------
    float
        Where the curve first is at or below the level; the first number of exposures if it starts there;
        inf if it ends above.
    """
    if errors[0] <= level:
        return float(exposures[0])
    points = list(zip(exposures, errors, strict=True))
    for (k0, e0), (k1, e1) in itertools.pairwise(points):
        if e1 <= level:
            part = math.log(e0 / level) / math.log(e0 / e1)
            return math.exp(math.log(k0) + part * math.log(k1 / k0))
    return math.inf
