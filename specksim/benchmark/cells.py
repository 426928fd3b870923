"""One cell of a benchmark: a method on a data set with some exposures of each pair.

A finished cell is a file, so that an interrupted benchmark goes on where it stopped.
"""

import contextlib
import hashlib
import json
import math
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from specksim.benchmark.memory import peak_megabytes
from specksim.benchmark.methods import PIXELS, Choice, Entrant, Errors, choose_options
from specksim.benchmark.metrics import bootstrap, estimate, evaluate, tally
from specksim.benchmark.pairs import (
    Measurement,
    Pairs,
    Source,
    displacement_error,
    exposures_of,
    measure,
    measure_still,
    members,
    open_pairs,
    true_displacement,
    zero_motion_pairs,
)
from specksim.benchmark.results import Failure, Figure, Setting
from specksim.benchmark.special import special_numbers
from specksim.dataset import open_dataset
from specksim.files import DAMAGED_NPZ, write_atomically
from specksim.retrieval import Retrieval
from specksim.retrieval.registry import MethodUnavailable
from specksim.workers import Tick

FAILURES = (ValueError, RuntimeError, ArithmeticError, MemoryError)
"""What a method may raise for a pair; it is kept as a failure."""

_MOST_WARNINGS = 3
_DRAWS = 1000
_PERIOD, _NOISE = ("star", "period_90_px"), ("wedge", "noise_px")


@dataclass(frozen=True)
class Task:
    """What a cell is made of.

    Attributes
    ----------
    source : Source
    validation : Source or None
        What options are chosen on; None where there is nothing to choose.
    entrant : Entrant
    exposures : int
    seed : int
        Of resampling.
    model_sha256 : str
        Of the method's model; empty where it has none.
    fingerprint : str
        Of all that the result depends on: data, model, versions.
    folder : Path
        Where the cell's file goes.
    """

    source: Source
    validation: Source | None
    entrant: Entrant
    exposures: int
    seed: int
    model_sha256: str
    fingerprint: str
    folder: Path

    @property
    def work(self) -> int:
        """Images to be retrieved, about: a search tries some 18 windows and `max_shift`, or 3 of these."""
        tried = 18 if self.entrant.takes("window") else 3
        searched = self.validation.pairs * tried if self.validation else 0
        return self.exposures * (4 * self.source.pairs + searched)

    @property
    def target(self) -> Path:
        """The cell's file; another one for another fingerprint."""
        words = (self.entrant.label, str(self.exposures), self.fingerprint)
        digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
        return self.folder / f"{self.source.name}-{self.entrant.name}-{self.exposures}-{digest}.npz"


@dataclass(frozen=True)
class Outcome:
    """What came out of a cell.

    Attributes
    ----------
    setting : Setting
    figures : list of Figure
    failures : list of Failure
    rows : list of int
        Pairs that have a result.
    """

    setting: Setting
    figures: list[Figure]
    failures: list[Failure]
    rows: list[int]


def run_cell(task: Task, tick: Tick) -> None:
    """Run a method on all pairs and write the cell's file; `tick` is called after each retrieval."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        choice = _choose(task, tick)
        with open_pairs(task.source) as pairs:
            measured, seconds, failures = _measure_pairs(task, pairs, choice.options["all"], tick)
            if choice.options["valid"] != choice.options["all"]:
                _measure_valid(task, pairs, choice.options["valid"], measured, failures)
    where = (task.source.name, task.entrant.label, task.exposures)
    own = dict(task.entrant.options)
    setting = Setting(
        *where,
        options=own | choice.options["all"],
        valid_options=own | choice.options["valid"],
        chosen_on=_chosen_on(task, choice),
        tried={words: dict(errors) for words, errors in choice.tried.items()},
        warnings=list(dict.fromkeys(str(item.message) for item in caught))[:_MOST_WARNINGS],
    )
    figures = _figures(where, list(measured.values()), task.seed)
    if measured:
        peak = peak_megabytes(task.source, task.entrant, task.exposures, choice.options["all"])
        figures += _costs(where, np.array([*seconds.values()]), peak, task.seed)
    _save(task, Outcome(setting, figures, failures, list(measured)), list(measured.values()))


# ---- options ----------------------------------------------------------------------------------------


def _choose(task: Task, tick: Tick) -> Choice:
    """The method's options, its best window among them, found on the validation pairs."""
    if task.validation is None:
        return Choice({pixels: {} for pixels in PIXELS}, {})
    with open_pairs(task.validation) as pairs, open_dataset(task.validation.path) as dataset:
        rows = range(len(pairs))
        largest = max(float(np.abs(dataset.read(name, row)).max()) for name in ("dx", "dy") for row in rows)
        frame = pairs.setup.detector

        def score(options: Mapping[str, Any]) -> Errors:
            tallies = [_tallies(task, pairs, row, options, tick) for row in rows]
            if any(found is None for found in tallies):
                return dict.fromkeys(PIXELS, math.nan)
            return {
                pixels: evaluate(np.sum([found[pixels] for found in tallies if found], axis=0))["epe_mean"]
                for pixels in PIXELS
            }

        return choose_options(task.entrant, largest, min(frame.rows, frame.columns), score)


def _tallies(
    task: Task, pairs: Pairs, row: int, options: Mapping[str, Any], tick: Tick
) -> dict[str, np.ndarray] | None:
    """Tallies of a pair on each of `PIXELS`; None where the method fails."""
    pair = pairs[row]
    images = exposures_of(pair, task.exposures)
    try:
        result = task.entrant.run(*images, pairs.setup, pair.scene["material"], options)
    except MethodUnavailable:
        raise
    except FAILURES:
        return None
    finally:
        tick()
    truth = true_displacement(pair)
    error = displacement_error(result, truth)
    valid = pair.valid > 0
    return {"all": tally(error, truth, np.ones_like(valid)), "valid": tally(error, truth, valid)}


def _chosen_on(task: Task, choice: Choice) -> str:
    if task.validation is None:
        return ""
    words = f"{task.validation.name}, {task.validation.pairs} pairs"
    if choice.tried and all(math.isnan(errors["all"]) for errors in choice.tried.values()):
        return f"{words}: the method failed with every window"
    tried = [int(key.split()[1].rstrip(",")) for key in choice.tried if key.startswith("window ")]
    at_end = tried and max(tried) in (one.get("window") for one in choice.options.values())
    return f"{words}; the best window is the largest tried" if at_end else words


# ---- pairs ------------------------------------------------------------------------------------------


def _measure_pairs(
    task: Task, pairs: Pairs, options: Mapping[str, Any], tick: Tick
) -> tuple[dict[int, Measurement], dict[int, float], list[Failure]]:
    """Errors and seconds of each pair that the method has a result for, and its failures."""
    measured: dict[int, Measurement] = {}
    seconds: dict[int, float] = {}
    failures: list[Failure] = []

    def run(images: tuple[np.ndarray, np.ndarray], material: str) -> Retrieval:
        return task.entrant.run(*images, pairs.setup, material, options)

    for row in range(len(pairs)):
        pair = pairs[row]
        images = exposures_of(pair, task.exposures)
        material = pair.scene["material"]
        with _noting(task, failures, row):
            if row == 0:  # compiles, loads, traces
                run(images, material)
            start = time.perf_counter()
            result = run(images, material)
            taken = time.perf_counter() - start
            found = measure(result, pair, pairs.setup)
            numbers = found.numbers | special_numbers(result, pair, pairs.setup)
            measured[row], seconds[row] = replace(found, numbers=numbers), taken
            for (group, metric), value in numbers.items():
                if math.isnan(value):
                    failures.append(_failure(task, row, f"{metric} of the {group}: the result shows none"))
        if row in measured:
            still = zero_motion_pairs(images[0], pair.index, pairs.setup.detector.plain)
            for name, same in still.items():
                with _noting(task, failures, row, f"{name}: "):
                    measured[row].tallies[name, "all"] = measure_still(run(same, material))
        tick()
    return measured, seconds, failures


def _measure_valid(
    task: Task,
    pairs: Pairs,
    options: Mapping[str, Any],
    measured: dict[int, Measurement],
    failures: list[Failure],
) -> None:
    """Measure the valid pixels again, with options of their own."""
    for row in list(measured):
        pair = pairs[row]
        found = None
        with _noting(task, failures, row, "valid pixels: "):
            images = exposures_of(pair, task.exposures)
            result = task.entrant.run(*images, pairs.setup, pair.scene["material"], options)
            found = measure(result, pair, pairs.setup).tallies
        if found is None:
            del measured[row]  # or else figures of one row would be of different pairs
            continue
        valid = {key: values for key, values in found.items() if key[1] == "valid"}
        measured[row] = replace(measured[row], tallies=measured[row].tallies | valid)


@contextlib.contextmanager
def _noting(task: Task, failures: list[Failure], row: int, what: str = "") -> Iterator[None]:
    """Keep what a method raises for a pair as a failure."""
    try:
        yield
    except MethodUnavailable:
        raise
    except FAILURES as error:
        words = " ".join(str(error).split()) or type(error).__name__
        failures.append(_failure(task, row, what + words))


def _failure(task: Task, row: int, message: str) -> Failure:
    return Failure(task.source.name, task.entrant.label, task.exposures, row, message)


# ---- figures ----------------------------------------------------------------------------------------


def generator(seed: int, *words: object) -> np.random.Generator:
    """Generator that depends on the seed and some words, such as names, alone."""
    key = zlib.crc32("\0".join(map(str, words)).encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))


_Where = tuple[str, str, int]


def _figures(where: _Where, measured: list[Measurement], seed: int) -> list[Figure]:
    """Pooled metrics of all pairs, of each geometry and material, of each class of displacement."""
    figures: list[Figure] = []
    if not measured:
        return figures
    for group, numbers in members(measured).items():
        for pixels in ("all", "valid"):
            tallies = np.stack([measured[number].tallies["all", pixels] for number in numbers])
            figures += pooled(where, group, pixels, tallies, seed)
    for group, pixels in dict.fromkeys(key for one in measured for key in one.tallies):
        if group != "all":
            have = (one.tallies.get((group, pixels)) for one in measured)
            tallies = np.stack([one for one in have if one is not None])
            figures += pooled(where, group, pixels, tallies[tallies.any(axis=1)], seed)
    single: dict[tuple[str, str], np.ndarray] = {}
    for key in dict.fromkeys(key for one in measured for key in one.numbers):
        values = np.array([one.numbers[key] for one in measured if key in one.numbers])
        single[key] = values[~np.isnan(values)]  # `pairs` says of how many it is
    for (group, metric), values in single.items():
        interval = estimate((values,), generator(seed, *where, group, metric))
        figures.append(Figure(*where, group, "", metric, *interval, len(values)))
    if {_PERIOD, _NOISE} <= set(single):
        figures.append(_indicator(where, single[_PERIOD], single[_NOISE], seed))
    return figures


def _indicator(where: _Where, period: np.ndarray, noise: np.ndarray, seed: int) -> Figure:
    """Mean period of the stars times mean noise of the wedges, which are resampled each on their own."""
    found = estimate(
        (period, noise),
        generator(seed, *where, "indicator"),
        lambda period, noise, axis: period.mean(axis) * noise.mean(axis),
    )
    return Figure(*where, "star", "", "indicator", *found, min(len(period), len(noise)))


def pooled(where: _Where, group: str, pixels: str, tallies: np.ndarray, seed: int) -> list[Figure]:
    """Metrics of the pooled pixels of some pairs, with their intervals; none without pixels."""
    if not tallies.any():
        return []
    intervals = bootstrap(tallies, generator(seed, *where, group, pixels), _DRAWS)
    return [
        Figure(*where, group, pixels, name, value, *intervals[name], len(tallies))
        for name, value in evaluate(tallies.sum(axis=0)).items()
    ]


def _costs(where: _Where, seconds: np.ndarray, peak: float, seed: int) -> list[Figure]:
    """Median of the seconds with its interval, and the peak of memory."""
    timing = estimate((seconds,), generator(seed, *where, "seconds"), np.median)
    return [
        Figure(*where, "all", "", "seconds", *timing, len(seconds)),
        Figure(*where, "all", "", "peak_mb", peak, math.nan, math.nan, 1),
    ]


# ---- the file ---------------------------------------------------------------------------------------


def _save(task: Task, cell: Outcome, measured: list[Measurement]) -> None:
    stacks: dict[str, Any] = {
        pixels: np.stack([one.tallies["all", pixels] for one in measured]) if measured else np.zeros((0, 0))
        for pixels in ("all", "valid")
    }
    words = np.array(json.dumps(asdict(cell)))
    write_atomically(task.target, lambda part: np.savez_compressed(part, cell=words, **stacks))


def load_cell(path: Path) -> Outcome:
    """Read the cell of a file.

    Raises
    ------
    ValueError
        If the file is damaged; names it.
    """
    tree = json.loads(str(_stored(path, "cell")))
    return Outcome(
        Setting(**tree["setting"]),
        [Figure(**figure) for figure in tree["figures"]],
        [Failure(**failure) for failure in tree["failures"]],
        tree["rows"],
    )


def load_tallies(path: Path, pixels: str) -> np.ndarray:
    """Tallies of the pairs of a cell, (pairs, TALLY_SIZE), in the order of its `rows`."""
    return _stored(path, pixels)


def _stored(path: Path, name: str) -> np.ndarray:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            values: np.ndarray = stored[name]
            return values
    except DAMAGED_NPZ as error:
        raise ValueError(f"{path}: damaged: {error}; remove it and --resume") from None
