"""The error of one method over that of another on the same pairs, with an interval.

    python benchmarks/ratios.py bench umpa,1 unet,1 [METHOD,EXPOSURES …]

`bench` is a folder of `specksim benchmark`; printed is the mean endpoint error of the first over that of each
other one, in brackets 95 % of bootstraps over the pairs, which both share.
"""

import sys
from pathlib import Path

import numpy as np

from specksim.benchmark.cells import load_cell, load_tallies
from specksim.benchmark.metrics import evaluate

DRAWS = 1000


def error(tallies: np.ndarray) -> float:
    return evaluate(tallies.sum(axis=0))["epe_mean"]


def main() -> None:
    folder, first, *others = sys.argv[1:]
    cells = {}
    for path in Path(folder, "cells").glob("*.npz"):
        setting = load_cell(path).setting
        name = f"{setting.method},{setting.exposures}"
        if name in cells:
            sys.exit(f"{folder} must hold one data set: {name} is there of several")
        cells[name] = path
    rng = np.random.default_rng(0)
    print("| | valid pixels | all pixels |")
    print("|---|---|---|")
    for other in others:
        row = []
        for pixels in ("valid", "all"):
            a, b = (load_tallies(cells[name], pixels) for name in (first, other))
            drawn = [rng.integers(0, len(a), len(a)) for _ in range(DRAWS)]
            low, high = np.percentile([error(a[rows]) / error(b[rows]) for rows in drawn], [2.5, 97.5])
            row.append(f"{error(a) / error(b):.2f} [{low:.2f}, {high:.2f}]")
        print(f"| {first} over {other} |", " | ".join(row), "|")


if __name__ == "__main__":
    main()
