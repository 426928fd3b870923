"""From finished cells to the results: figures as they are, and which methods differ."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from specksim.benchmark.arguments import Benchmark
from specksim.benchmark.cells import Outcome, Task, generator, load_cell, load_tallies
from specksim.benchmark.methods import Entrant
from specksim.benchmark.metrics import differ
from specksim.benchmark.results import Comparison, Contestant, Results
from specksim.benchmark.stands import Stand
from specksim.retrieval.registry import find_method

_COMPARED = "epe_mean"


def collect(
    benchmark: Benchmark,
    command: str,
    entrants: Sequence[Entrant],
    stands: Sequence[Stand],
    tasks: Sequence[Task],
) -> Results:
    """The results of the cells that are finished."""
    done = [(task, load_cell(task.target)) for task in tasks if task.target.exists()]
    return Results(
        command=command,
        arguments=asdict(benchmark),
        seed=benchmark.seed,
        methods=[
            Contestant(
                name=entrant.name,
                label=entrant.label,
                summary=entrant.summary,
                options=dict(entrant.options),
                single_pair=not find_method(entrant.name).several,
                model_sha256=", ".join(
                    dict.fromkeys(task.model_sha256 for task in tasks if task.entrant == entrant)
                ),
            )
            for entrant in entrants
        ],
        data=[stand.entry for stand in stands],
        settings=[cell.setting for _, cell in done],
        figures=[figure for _, cell in done for figure in cell.figures],
        comparisons=[one for stand in stands for one in _compare(stand.entry.name, done, benchmark.seed)],
        failures=[failure for _, cell in done for failure in cell.failures],
        complete=len(done) == len(tasks),
    )


def _compare(data: str, done: Sequence[tuple[Task, Outcome]], seed: int) -> Iterator[Comparison]:
    """Which cells of a data set differ: those of as many exposures, and those of one against all others."""
    here = [(task, cell) for task, cell in done if task.source.name == data and cell.rows]
    for pixels in ("all", "valid"):
        tallies = {task.target: load_tallies(task.target, pixels) for task, _ in here}
        for (task_a, cell_a), (task_b, cell_b) in itertools.combinations(here, 2):
            numbers = (task_a.exposures, task_b.exposures)
            labels = (task_a.entrant.label, task_b.entrant.label)
            if numbers[0] != numbers[1] and 1 not in numbers:
                continue
            common = sorted({*cell_a.rows} & {*cell_b.rows})
            first, second = (
                tallies[task.target][np.searchsorted(cell.rows, common)]
                for task, cell in ((task_a, cell_a), (task_b, cell_b))
            )
            if len(common) == 0:
                continue
            rng = generator(seed, data, pixels, *labels, *numbers)
            different = differ(first, second, _COMPARED, rng)
            yield Comparison(data, *numbers, *labels, _COMPARED, pixels, different)


def model_hash(path: Path | None) -> str:
    """SHA-256 of the file that a model is, or of the files in its folder; empty where there is none."""
    if path is None or not path.exists():
        return ""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(item for item in path.iterdir() if item.is_file()):
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()
