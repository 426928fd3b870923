"""The results of a benchmark: results.json and results.csv, written in one piece, read back and compared.

A curve is all `data` of one `axis`, sorted by `value`; the axes "robustness" and "resolution" are no curves
but conditions side by side. The axis of exposures is formed by the `exposures` of the figures of one data
set, that of displacement by its groups "|d| = 0", "|d| < 0.1 px", "0.1–1 px" and "> 1 px". `method` of a
figure is the `label` of a method. `pixels` is "all", "valid", or empty where a metric is one number a pair.
"""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from specksim.benchmark.machine import hardware, versions
from specksim.files import write_text

RESULTS, TABLE = "results.json", "results.csv"
FORMAT = 1
RELATIVE, ABSOLUTE = 1e-6, 1e-8
"""Figures that differ by no more are the same: other processors add up in another order."""

_NOT_COMPARED = ("seconds", "peak_mb")


@dataclass(frozen=True)
class Contestant:
    """A method: its name in specksim, as it was asked for, what it is, and the options given."""

    name: str
    label: str
    summary: str
    options: dict[str, Any]
    single_pair: bool
    model_sha256: str = ""


@dataclass(frozen=True)
class Data:
    """A data set; `axis` and `value` place it on a curve, `bound_px` is for windows of 13 px of one pair."""

    name: str
    file: str
    content_hash: str
    pairs: int
    steps: int
    setup_toml: str
    axis: str
    value: float
    unit: str
    title: str
    bound_px: float

    @property
    def bounded(self) -> bool:
        """Whether the bound says something: there is noise, and there is speckle."""
        return 0 < self.bound_px < math.inf


@dataclass(frozen=True)
class Setting:
    """Options of a method, for all and for valid pixels; on what chosen, out of what; warnings."""

    data: str
    method: str
    exposures: int
    options: dict[str, Any]
    valid_options: dict[str, Any]
    chosen_on: str
    tried: dict[str, dict[str, float]]
    warnings: list[str]


@dataclass(frozen=True)
class Figure:
    """One number with its 95 % interval; `pairs` that it is of."""

    data: str
    method: str
    exposures: int
    group: str
    pixels: str
    metric: str
    value: float
    low: float
    high: float
    pairs: int

    @property
    def key(self) -> tuple[str, str, int, str, str, str]:
        """All but the numbers."""
        return self.data, self.method, self.exposures, self.group, self.pixels, self.metric


@dataclass(frozen=True)
class Comparison:
    """Whether two methods differ in a metric, by a paired bootstrap over the pairs that both have."""

    data: str
    exposures_a: int
    exposures_b: int
    a: str
    b: str
    metric: str
    pixels: str
    different: bool


@dataclass(frozen=True)
class Failure:
    """A pair that a method gave no result for."""

    data: str
    method: str
    exposures: int
    pair: int
    message: str


@dataclass(frozen=True)
class Results:
    """All of a benchmark.

    Attributes
    ----------
    command : str
        As it was called.
    arguments : dict
        The same, as it takes to call it again; see `specksim.benchmark.arguments.Benchmark`.
    seed : int
    methods, data, settings, figures, comparisons, failures : list
    complete : bool
        False for what an interrupted run had done.
    created, versions, hardware
        When, with what and where.
    """

    command: str
    arguments: dict[str, Any]
    seed: int
    methods: list[Contestant]
    data: list[Data]
    settings: list[Setting]
    figures: list[Figure]
    comparisons: list[Comparison]
    failures: list[Failure]
    complete: bool = True
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=versions)
    hardware: dict[str, Any] = field(default_factory=hardware)

    def to_json(self) -> str:
        """The text of results.json; NaN becomes null, infinities become strings."""
        tree = {"program": "specksim", "version": version("specksim"), "format": FORMAT}
        tree |= dataclasses.asdict(self)
        return json.dumps(_plain(tree), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The results of `to_json`.

        Raises
        ------
        ValueError
            If the text holds none, or those of another version of specksim.
        """
        try:
            tree = json.loads(text)
            program, number, made_by = (tree.pop(name) for name in ("program", "format", "version"))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"not the results of a benchmark, or damaged: {error!r}") from None
        if program != "specksim":
            raise ValueError(f"not the results of a benchmark of specksim, but of {program!r}")
        try:
            if number != FORMAT:
                raise ValueError(f"format {number!r} is not {FORMAT}")
            for name, kind in _LISTS.items():
                tree[name] = [_from_plain(kind, entry) for entry in tree[name]]
            return cls(**tree)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"made by another version of specksim, {made_by}, or damaged: {error}; run it again"
            ) from None


_LISTS: dict[str, Any] = {
    "methods": Contestant,
    "data": Data,
    "settings": Setting,
    "figures": Figure,
    "comparisons": Comparison,
    "failures": Failure,
}


def _plain(value: Any) -> Any:
    """The value with NaN as None and infinities as text, which JSON has no numbers for."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _from_plain(kind: Any, entry: dict[str, Any]) -> Any:
    floats = {item.name for item in dataclasses.fields(kind) if item.type is float}
    values: dict[str, Any] = {}
    for name, value in entry.items():
        if name == "tried":
            values[name] = {
                words: {k: _number(e) for k, e in errors.items()} for words, errors in value.items()
            }
        else:
            values[name] = _number(value) if name in floats else value
    return kind(**values)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def write_results(folder: Path, results: Results) -> None:
    """Write results.json and results.csv, one row a figure; existing ones are replaced in one piece."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([item.name for item in dataclasses.fields(Figure)])
    for figure in results.figures:
        values = dataclasses.astuple(figure)
        writer.writerow(["" if value != value else value for value in values])
    write_text(folder / TABLE, table.getvalue())
    write_text(folder / RESULTS, results.to_json())


def read_results(folder: Path) -> Results:
    """Read the results in a folder.

    Raises
    ------
    ValueError
        If results.json is damaged or none of a benchmark; names the file.
    OSError
        If it cannot be read.
    """
    path = folder / RESULTS
    try:
        return Results.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def differences(old: Results, new: Results) -> list[str]:
    """What differs between two runs of the same benchmark, a line each; times and memory are not compared.

    Figures are the same if they differ by less than 10⁻⁶ of themselves, or 10⁻⁸.
    """
    return [
        line
        for kind, name, key, look in _COMPARED
        for line in _changes(
            kind, *({key(one): look(one) for one in getattr(run, name)} for run in (old, new))
        )
    ]


_Look = Callable[[Any], Any]
_COMPARED: tuple[tuple[str, str, _Look, _Look], ...] = (
    (
        "data",
        "data",
        lambda one: one.name,
        lambda one: {name: getattr(one, name) for name in ("content_hash", "pairs", "value", "bound_px")},
    ),
    (
        "setting",
        "settings",
        lambda one: (one.data, one.method, one.exposures),
        lambda one: {
            "options": one.options,
            "valid_options": one.valid_options,
            **{f"{words}, {k}": error for words, errors in one.tried.items() for k, error in errors.items()},
        },
    ),
    (
        "figure",
        "figures",
        lambda one: one.key,
        lambda one: (
            {}
            if one.metric in _NOT_COMPARED
            else {name: getattr(one, name) for name in ("value", "low", "high", "pairs")}
        ),
    ),
    (
        "comparison",
        "comparisons",
        lambda one: (one.data, one.a, one.exposures_a, one.b, one.exposures_b, one.metric, one.pixels),
        lambda one: {"different": one.different},
    ),
    (
        "failure",
        "failures",
        lambda one: (one.data, one.method, one.exposures, f"pair {one.pair}"),
        lambda one: {"message": one.message},
    ),
)
"""What is compared: in words, where it is, what an entry is known by, what of it must agree."""


def _changes(kind: str, old: dict[Any, dict[str, Any]], new: dict[Any, dict[str, Any]]) -> list[str]:
    lines = []
    for key in dict.fromkeys([*old, *new]):
        words = ", ".join(str(part) for part in key if part != "") if isinstance(key, tuple) else str(key)
        if key not in new or key not in old:
            lines.append(f"{kind} {words}: only in the {'first' if key in old else 'second'} run")
            continue
        for name in dict.fromkeys([*old[key], *new[key]]):
            then, now = old[key].get(name), new[key].get(name)
            if not _same(then, now):
                lines.append(f"{kind} {words}: {name} {then} then, {now} now")
    return lines


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        if math.isnan(first) or math.isnan(second):
            return math.isnan(first) and math.isnan(second)
        return math.isclose(first, second, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(first == second)
