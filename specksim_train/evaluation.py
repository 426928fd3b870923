"""How good a network is on a data set: errors against the truth, in all pixels and where ray optics holds."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specksim.dataset import open_dataset
from specksim.forward import SpecklePair
from specksim.retrieval import Retrieval, integrate_phase
from specksim.setups import Setup

COLUMNS = {
    "group": "which pairs",
    "pixels": "all, or the valid ones alone",
    "pairs": "number of pairs",
    "epe_mean": "endpoint error, mean, px",
    "epe_median": "median, px",
    "epe_p95": "95th percentile, px",
    "rmse_dx": "root-mean-square error of dx, px",
    "rmse_dy": "of dy, px",
    "bias_dx": "mean error of dx, px",
    "bias_dy": "of dy, px",
    "r2": "1 − error² / displacement²: 0 as good as predicting no motion, 1 perfect",
    "phase_rmse": "of the integrated phase, rad",
}
"""Name and meaning of each column of the results."""

ZERO_MOTION = ("zero motion, identical", "zero motion, two exposures")


@dataclass(frozen=True)
class PairErrors:
    """Errors of one pair: e = (dx, dy) − truth, px, (N, 2); the truth alike; which pixels are valid, (N,)."""

    geometry: str
    material: str
    error: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    phase_rmse: float = float("nan")


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
    moving: list[PairErrors] = []
    still: dict[str, list[PairErrors]] = {name: [] for name in ZERO_MOTION}
    with open_dataset(path) as dataset:
        count = min(n or len(dataset), len(dataset))
        for row in range(count):
            pair = dataset[row]
            moving.append(pair_errors(predict, pair, dataset.request.setup))
            plain = dataset.request.setup.detector.plain
            for name, images in zero_motion_pairs(pair.reference[0], row, plain).items():
                still[name].append(_still_errors(predict, images, pair))
            progress(1)
        content = dataset.provenance()["content_hash"]
    return {
        "data": {"path": str(path), "content_hash": content, "pairs": count},
        "columns": COLUMNS,
        "rows": summarise(moving)
        + [_row(name, "all", pairs, False) for name, pairs in still.items() if pairs],
    }


def pair_errors(predict: Callable[..., Retrieval], pair: SpecklePair, setup: Setup) -> PairErrors:
    """Errors of a prediction for a pair's first exposure, with those of the phase integrated from it."""
    result = predict(pair.reference[0], pair.sample[0])
    truth = np.stack([pair.dx, pair.dy], axis=-1)
    phase = integrate_phase(result.dx, result.dy, setup)
    exact = integrate_phase(pair.dx, pair.dy, setup)  # the same free constant, and the same solver
    return PairErrors(
        pair.scene["geometry"],
        pair.scene["material"],
        (np.stack([result.dx, result.dy], axis=-1) - truth).reshape(-1, 2),
        truth.reshape(-1, 2),
        pair.valid.ravel() > 0,
        float(np.sqrt(np.mean((phase - exact) ** 2))),
    )


def zero_motion_pairs(
    reference: np.ndarray, seed: int, photons: bool = True
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of images without motion, made of one image; two exposures only of one that counts photons."""
    pairs = {ZERO_MOTION[0]: (reference, reference)}
    if photons and reference.dtype.kind == "u":
        half = np.random.default_rng(seed).binomial(reference, 0.5)
        pairs[ZERO_MOTION[1]] = (half.astype(reference.dtype), (reference - half).astype(reference.dtype))
    return pairs


def _still_errors(
    predict: Callable[..., Retrieval], images: tuple[np.ndarray, np.ndarray], pair: SpecklePair
) -> PairErrors:
    result = predict(*images)
    error = np.stack([result.dx, result.dy], axis=-1).reshape(-1, 2)
    everywhere = np.ones(len(error), bool)
    return PairErrors("", pair.scene["material"], error, np.zeros_like(error), everywhere)


def summarise(pairs: list[PairErrors]) -> list[dict[str, Any]]:
    """Rows of the results: all pairs, each geometry, each material; in all and in valid pixels."""
    groups: dict[str, list[PairErrors]] = {"all": pairs}
    for kind in ("geometry", "material"):
        for pair in pairs:
            groups.setdefault(f"{kind} {getattr(pair, kind)}", []).append(pair)
    return [
        _row(name, which, members, which == "valid")
        for name, members in groups.items()
        for which in ("all", "valid")
    ]


def _row(name: str, which: str, pairs: list[PairErrors], valid_alone: bool) -> dict[str, Any]:
    def joined(values: Iterable[np.ndarray]) -> np.ndarray:
        kept = [part[pair.valid] if valid_alone else part for part, pair in zip(values, pairs, strict=True)]
        return np.concatenate(kept)

    measured = metrics(joined(pair.error for pair in pairs), joined(pair.truth for pair in pairs))
    phase = float("nan") if valid_alone else float(np.sqrt(np.mean([pair.phase_rmse**2 for pair in pairs])))
    return {"group": name, "pixels": which, "pairs": len(pairs), **measured, "phase_rmse": phase}


def metrics(error: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Metrics of a displacement.

    Parameters
    ----------
    error, truth : (N, 2) array
        (dx, dy) − truth, and truth, px.

    Returns
    -------
    dict
        See `COLUMNS`. All NaN without pixels; r2 is NaN where nothing moves.

    Raises
    ------
    ValueError
        If an error is not finite.
    """
    names = ("epe_mean", "epe_median", "epe_p95", "rmse_dx", "rmse_dy", "bias_dx", "bias_dy", "r2")
    if len(error) == 0:
        return dict.fromkeys(names, float("nan"))
    if not np.isfinite(error).all():
        raise ValueError(f"the prediction must be finite, got {np.sum(~np.isfinite(error))} other values")
    length = np.hypot(error[:, 0], error[:, 1])
    squares = np.square(error, dtype=np.float64)
    motion = float(np.square(truth, dtype=np.float64).sum())
    values = (
        length.mean(dtype=np.float64),
        np.median(length),
        np.quantile(length, 0.95),
        *np.sqrt(squares.mean(axis=0)),
        *error.mean(axis=0, dtype=np.float64),
        1.0 - squares.sum() / motion if motion > 0 else float("nan"),
    )
    return {name: float(value) for name, value in zip(names, values, strict=True)}


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
    part = json_file.with_name("results.json.part")
    part.write_text(json.dumps({**results, "rows": rows}, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(json_file)
    part = csv_file.with_name("results.csv.part")
    with part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(csv_file)
    return json_file, csv_file
