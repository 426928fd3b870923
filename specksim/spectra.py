"""Spectra of a beam: their tables, and how many lines stand for one."""

import re
from pathlib import Path

import numpy as np

Spectrum = tuple[tuple[float, float], ...]
"""Lines (energy in keV, weight), by rising energy."""

MOST_LINES = 16
"""Each has a field of its own, in memory and in time."""


def read_spectrum(path: Path) -> Spectrum:
    """Read a table of energies (keV) and weights.

    Parameters
    ----------
    path : Path
        Text with an energy and a weight in each line, separated by a comma, semicolon or white space; the
        first line may name the columns, and # begins a comment.

    Returns
    -------
    Spectrum
        Merged into 16 lines where the table has more, see `merge_lines`.

    Raises
    ------
    ValueError
        If a line is something else, or there is none; names file and line.
    OSError
        If the file cannot be read.
    """
    try:
        rows = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text: {error}") from None
    lines: list[tuple[float, float]] = []
    for number, row in enumerate(rows, start=1):
        words = [word for word in re.split(r"[,;\s]+", row.partition("#")[0].strip()) if word]
        try:
            if words:
                energy_kev, weight = map(float, words)
                lines.append((energy_kev, weight))
        except ValueError:
            if lines or any(re.match(r"[-+.\d]", word) for word in words):
                raise ValueError(
                    f"{path}, line {number}: must hold an energy (keV) and a weight, got {row.strip()[:60]!r}"
                ) from None
    if not lines:
        raise ValueError(f"{path}: holds no line with an energy (keV) and a weight")
    return check_spectrum(str(path), lines)


def check_spectrum(name: str, lines: object) -> Spectrum:
    """The lines as a `Spectrum`; more than 16 are merged, see `merge_lines`.

    Raises
    ------
    ValueError
        If they are not pairs of numbers, energies do not rise within 1..200 keV, a weight is negative or not
        finite, or none is > 0; the message begins with `name`.
    """
    rule = f"{name} must be a list of [energy in keV, weight]"
    if not isinstance(lines, list | tuple):
        raise ValueError(f"{rule}, got {lines!r}")
    for line in lines:
        numbers = isinstance(line, list | tuple) and all(type(value) in (int, float) for value in line)
        if not numbers or len(line) != 2:
            raise ValueError(f"{rule}, got {line!r} in it")
    energies, weights = np.array(lines, dtype=float).reshape(-1, 2).T
    for energy in energies[~((energies >= 1) & (energies <= 200))]:
        raise ValueError(f"{name}: energies must be within 1..200 keV, got {energy:g}")
    for energy in energies[1:][np.diff(energies) <= 0]:
        raise ValueError(f"{name}: energies must rise, got {energy:g} keV after one that is not below it")
    for weight in weights[~((weights >= 0) & (weights < np.inf))]:
        raise ValueError(f"{name}: weights must be >= 0 and finite, got {weight:g}")
    if len(lines) and not weights.any():
        raise ValueError(f"{name}: a weight must be > 0, got none")
    return merge_lines(energies, weights)


def merge_lines(energies_kev: np.ndarray, weights: np.ndarray) -> Spectrum:
    """Lines that stand for a spectrum: itself up to 16, else groups of neighbours of about equal weight.

    A group has the sum of its weights, and the energy at which δ ∝ 1/E² is the group's mean.
    """
    if len(energies_kev) > MOST_LINES:
        before = np.cumsum(weights) - 0.5 * weights
        group = np.minimum((before / weights.sum() * MOST_LINES).astype(int), MOST_LINES - 1)
        total = np.bincount(group, weights, MOST_LINES)
        bent = np.bincount(group, weights / energies_kev**2, MOST_LINES)
        kept = total > 0
        energies_kev, weights = np.sqrt(total[kept] / bent[kept]), total[kept]
    return tuple((float(energy), float(weight)) for energy, weight in zip(energies_kev, weights, strict=True))
