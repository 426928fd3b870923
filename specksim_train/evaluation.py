"""How good a network is on a data set: errors against the truth, in all pixels and where ray optics holds.

What is measured, and how, is that of `specksim benchmark`.
"""

import csv
import io
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specksim.benchmark.metrics import METRICS
from specksim.benchmark.metrics import evaluate as metrics_of
from specksim.benchmark.pairs import (
    ZERO_MOTION,
    Measurement,
    Source,
    measure,
    measure_still,
    members,
    open_pairs,
    zero_motion_pairs,
)
from specksim.dataset import open_dataset
from specksim.files import write_text
from specksim.retrieval import Retrieval

_METRICS = ("epe_mean", "epe_median", "epe_p95", "epe_p99", "rmse_dx", "rmse_dy", "bias_dx", "bias_dy", "r2",
            "phase_rmse")  # fmt: skip

COLUMNS = {
    "group": "which pairs",
    "pixels": "all, or the valid ones alone",
    "pairs": "number of pairs",
    **{
        name: f"{METRICS[name].meaning}{f', {METRICS[name].unit}' if METRICS[name].unit else ''}"
        for name in _METRICS
    },
}
"""Name and meaning of each column of the results."""


def evaluate(
    predict: Callable[..., Retrieval],
    path: str | os.PathLike[str],
    *,
    n: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Evaluate a predictor on the first exposure of each pair of a data set.

    Parameters
    ----------
    predict : callable
        (reference, sample) to `Retrieval`; for example `Network.predict`.
    path : path-like
        A data set of `specksim generate`.
    n : int, optional
        How many pairs, from the first. Default: all.
    progress : callable
        Called with 1 after each pair.

    Returns
    -------
    dict
        `data` (path, content hash, number of pairs), `columns` (their meaning) and `rows`: a dict a row, for
        all pairs, each geometry, each material, in all and in valid pixels, and for zero-motion pairs.

    Raises
    ------
    ValueError
        If the file is not such a data set, `n` is < 1, or the prediction is not finite.
    OSError
        If the file cannot be read.

    Notes
    -----
    Zero-motion pairs are made of each reference: the same image twice; and, for counts, the image thinned
    into two independent exposures of half the photons, by a binomial draw with a fixed seed.
    """
    if n is not None and n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    moving: list[Measurement] = []
    still: dict[str, list[np.ndarray]] = {name: [] for name in ZERO_MOTION}
    with open_dataset(path) as dataset:
        count = min(n or len(dataset), len(dataset))
        content = dataset.provenance()["content_hash"]
    with open_pairs(Source(Path(path).stem, Path(path), count, content)) as pairs:
        for row in range(count):
            pair = pairs[row]
            moving.append(measure(predict(pair.reference[0], pair.sample[0]), pair, pairs.setup))
            made = zero_motion_pairs(pair.reference[0], pair.index, pairs.setup.detector.plain)
            with warnings.catch_warnings(action="ignore"):  # half of the photons may be unlike the training
                for name, images in made.items():
                    still[name].append(measure_still(predict(*images)))
            progress(1)
    return {
        "data": {"path": str(path), "content_hash": content, "pairs": count},
        "columns": COLUMNS,
        "rows": summarise(moving)
        + [_row(name, "all", tallies, []) for name, tallies in still.items() if tallies],
    }


def summarise(pairs: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Rows of the results: all pairs, each geometry, each material; in all and in valid pixels."""
    return [
        _row(
            name,
            which,
            [pairs[number].tallies["all", which] for number in numbers],
            [pairs[number].numbers["all", "phase_rmse"] for number in numbers] if which == "all" else [],
        )
        for name, numbers in members(pairs).items()
        for which in ("all", "valid")
    ]


def _row(name: str, which: str, tallies: Sequence[np.ndarray], phases: Sequence[float]) -> dict[str, Any]:
    phase = float(np.mean(phases)) if phases else math.nan
    measured = metrics_of(np.sum(tallies, axis=0))
    return {"group": name, "pixels": which, "pairs": len(tallies), **measured, "phase_rmse": phase}


def format_table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table; errors in px and rad."""
    cells = [[_cell(row[name]) for name in COLUMNS] for row in rows]
    widths = [max(len(name), *(len(row[column]) for row in cells)) for column, name in enumerate(COLUMNS)]
    lines = [list(COLUMNS), ["-" * width for width in widths], *cells]
    return "\n".join(
        "| "
        + " | ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    )


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if np.isnan(value) else f"{value:.4f}"


def write_results(folder: str | os.PathLike[str], results: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write results.json and results.csv into a folder, which is made; existing ones are replaced.

    NaN becomes null in JSON and an empty cell in CSV.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    rows = [
        {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
        for row in results["rows"]
    ]
    json_file, csv_file = target / "results.json", target / "results.csv"
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(json_file, json.dumps({**results, "rows": rows}, indent=1, allow_nan=False) + "\n")
    write_text(csv_file, table.getvalue())
    return json_file, csv_file
