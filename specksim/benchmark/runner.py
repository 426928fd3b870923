"""A benchmark: data sets × methods × exposures, and what comes of it.

Results depend on the data, the methods and the seed alone, not on the number of workers or on how often a
run was interrupted; seconds and memory do.
"""

import contextlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from specksim.benchmark.arguments import PAIRS, Benchmark
from specksim.benchmark.cells import Task, load_cell, run_cell
from specksim.benchmark.collecting import collect, model_hash
from specksim.benchmark.conditions import Condition, conditions
from specksim.benchmark.machine import versions
from specksim.benchmark.methods import Entrant, require
from specksim.benchmark.pairs import Source
from specksim.benchmark.results import RESULTS, Results, read_results, write_results
from specksim.benchmark.stands import (
    Simulation,
    Stand,
    require_different,
    stand_of_condition,
    stand_of_file,
)
from specksim.dataset import open_dataset
from specksim.locks import lock
from specksim.request import Request
from specksim.retrieval.registry import find_method
from specksim.setups import Setup
from specksim.workers import run_tasks

CELLS, DATA = "cells", "data"
_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
"""What TensorFlow reads when it starts; trackers take one thread unless they are told otherwise."""


def run_benchmark(
    benchmark: Benchmark,
    folder: Path,
    *,
    command: str = "",
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda words: None,
    progress: Callable[[int], None] = lambda steps: None,
) -> Results:
    """Run a benchmark and write results.json and results.csv.

    Parameters
    ----------
    benchmark : Benchmark
    folder : Path
        Where results go, cells and simulated data as well; it is made.
    command : str
        What the results say they were called by.
    workers : int
        Processes; each method has one core of its own for the time that is taken.
    resume : bool
        Go on with what an interrupted run has done; cells of other data, methods or versions are not taken.
    overwrite : bool
        Replace the results, cells and data that are there.
    say : callable
        Given a line on what comes next.
    progress : callable
        Given the number of pairs simulated, or retrieved, since its last call.

    Returns
    -------
    Results

    Raises
    ------
    ValueError
        If an argument is out of range, a method unknown or without what it needs, or a file no data set.
    FileExistsError
        If results are there and neither option says what to do.
    OSError, RuntimeError
        If a file cannot be read or written; if worker processes die again and again.
    KeyboardInterrupt
        After the results that there are have been written, marked as not complete.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other")
    entrants = [Entrant.parse(text) for text in benchmark.methods]
    setup = Setup.from_toml(benchmark.setup) if benchmark.setup else Setup()
    wanted = conditions(benchmark.conditions, setup, benchmark.seed)
    require_different([*(Path(file).stem for file in benchmark.files), *(one.name for one in wanted)])
    _found(folder, resume, overwrite)  # before anything that takes time
    with _one_thread():
        requests = [*_requests(benchmark.files), *(one.request for one in wanted)]
        require(entrants, [request.setup for request in requests])
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder / RESULTS):
            _claim(folder, resume, overwrite)
            say(_outline(benchmark, entrants, requests))
            simulation = Simulation(folder / DATA, workers, resume, overwrite, progress)
            stands = _stands(benchmark, entrants, wanted, simulation, say)
            tasks = _tasks(benchmark, entrants, stands, folder)
            todo = [task for task in tasks if not task.target.exists()]
            say(f"{len(todo)} cells to do, {len(tasks) - len(todo)} are done")
            try:
                run_tasks(run_cell, [(task,) for task in todo], workers, progress, _teller(todo, say))
            finally:
                results = collect(benchmark, command, entrants, stands, tasks)
                write_results(folder, results)
    return results


def _outline(benchmark: Benchmark, entrants: Sequence[Entrant], requests: Sequence[Request]) -> str:
    """How much there is to do, before any of it is done."""
    cells = sum(
        len(entrant.exposures(request.steps, benchmark.exposures or None))
        for request, entrant in itertools.product(requests, entrants)
    )
    simulated = len(requests) - len(benchmark.files)
    return (
        f"{len(requests)} data sets, {simulated} of them to be simulated; {cells} cells: data × method × "
        "exposures"
    )


def _stands(
    benchmark: Benchmark,
    entrants: Sequence[Entrant],
    wanted: Sequence[Condition],
    simulation: Simulation,
    say: Callable[[str], None],
) -> list[Stand]:
    """All data sets, those of the conditions simulated."""
    choosing = any(one.chooses for one in entrants)
    stands = [
        stand_of_file(file, benchmark.pairs, choosing, benchmark.validation, simulation)
        for file in benchmark.files
    ]
    start = time.monotonic()
    for number, one in enumerate(wanted, 1):
        stands.append(stand_of_condition(one, benchmark.pairs or PAIRS, choosing, simulation))
        say(f"data set {number} of {len(wanted)}: {one.name}; {_left(start, number / len(wanted))}")
    return stands


def _teller(todo: Sequence[Task], say: Callable[[str], None]) -> Callable[[int], None]:
    """What says of each finished cell which it was, if it failed, and how long the others will take."""
    start, done = time.monotonic(), list[int]()

    def tell(number: int) -> None:
        done.append(number)
        task, cell = todo[number], load_cell(todo[number].target)
        share = sum(todo[k].work for k in done) / sum(task.work for task in todo)
        failed = "" if cell.rows else f" failed on every pair: {cell.failures[0].message};"
        say(
            f"cell {len(done)} of {len(todo)}: {task.source.name}, {task.entrant.label}, "
            f"{task.exposures} exposure{'s' * (task.exposures > 1)};{failed} {_left(start, share)}"
        )

    return tell


def _left(start: float, share: float) -> str:
    """How long what is left takes, if a share was done since the start, on `time.monotonic`."""
    seconds = (time.monotonic() - start) * (1 / share - 1)
    return f"about {timedelta(seconds=round(seconds))} left"


def stored_benchmark(folder: Path) -> tuple[Benchmark, Results]:
    """What a folder's results were made of, and they themselves; errors as `read_results`."""
    results = read_results(folder)
    if not results.complete:
        raise ValueError(f"{folder / RESULTS}: the run was interrupted: go on with it by --resume first")
    return Benchmark.from_arguments(results.arguments), results


def _requests(files: Sequence[str]) -> Iterator[Request]:
    for file in files:
        with open_dataset(file) as dataset:
            yield dataset.request


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Environment in which TensorFlow starts with one thread, in this process and its workers."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _found(folder: Path, resume: bool, overwrite: bool) -> list[Path]:
    """What another run has left; refused unless an option says what to do with it."""
    left = [path for path in (folder / RESULTS, *sorted((folder / CELLS).glob("[!.]*.npz"))) if path.exists()]
    if left and not (resume or overwrite):
        raise FileExistsError(f"{left[0]} exists; --resume goes on, --overwrite starts anew")
    if (folder / RESULTS).exists():
        read_results(folder)  # or else the file is not ours to replace
    return left


def _claim(folder: Path, resume: bool, overwrite: bool) -> None:
    """Make the folders, and remove what is not to be kept."""
    for path in _found(folder, resume, overwrite) if overwrite else []:
        path.unlink()
    for path in (folder / CELLS, folder / DATA):
        path.mkdir(exist_ok=True)
    for path in (folder / CELLS).glob(".part-*"):  # of a process that was killed
        path.unlink()


def _content(source: Source) -> list[Any]:
    return [source.content_hash, source.pairs, source.defocus_px, source.photons_per_pixel]


def _tasks(
    benchmark: Benchmark, entrants: Sequence[Entrant], stands: Sequence[Stand], folder: Path
) -> list[Task]:
    hashed = lru_cache(model_hash)
    software = {name: number for name, number in versions().items() if name != "python"}
    tasks = []
    for stand, entrant in itertools.product(stands, entrants):
        numbers = entrant.exposures(stand.entry.steps, benchmark.exposures or None)
        # with too few exposures every window fails
        choosing = entrant.chooses and numbers[0] >= find_method(entrant.name).exposures
        validation = stand.validation if choosing else None
        model = hashed(entrant.model_path(Setup.from_toml(stand.entry.setup_toml)))
        parts = {
            "data": [_content(source) for source in (stand.source, validation) if source],
            "model": model,
            "seed": benchmark.seed,
            "versions": software,
        }
        tasks += [
            Task(
                source=stand.source,
                validation=validation,
                entrant=entrant,
                exposures=number,
                seed=benchmark.seed,
                model_sha256=model,
                fingerprint=json.dumps(parts, sort_keys=True),
                folder=folder / CELLS,
            )
            for number in numbers
        ]
    return tasks
