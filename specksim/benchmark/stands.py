"""The data sets of a benchmark: files as they are, conditions simulated, and what windows are chosen on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from specksim.assessment import displacement_bound_px
from specksim.benchmark.conditions import Condition
from specksim.benchmark.pairs import Source, open_pairs
from specksim.benchmark.results import Data
from specksim.dataset import open_dataset
from specksim.dataset.summary import evenly, measure
from specksim.detector import noise_variance
from specksim.generation import run_plan
from specksim.plan import make_plan
from specksim.request import Request

VALIDATION_PAIRS = 8
"""Simulated for each data set to choose windows on."""

BOUND_WINDOW_PX = 13
_MOST_VALIDATION_PAIRS = 24  # of a file given for it
_LOOKED_AT = 8


@dataclass(frozen=True)
class Stand:
    """A data set, ready to be measured on.

    Attributes
    ----------
    source : Source
    entry : Data
        What the results say of it.
    validation : Source or None
    validation_pairs : int
    validation_hash : str
        Content hash of the validation pairs; empty without any.
    """

    source: Source
    entry: Data
    validation: Source | None
    validation_pairs: int
    validation_hash: str


@dataclass(frozen=True)
class Simulation:
    """How data are simulated.

    Attributes
    ----------
    folder : Path
        Where to.
    workers : int
    resume, overwrite : bool
        See `specksim.generate`.
    progress : callable
        Given the number of pairs since its last call.
    """

    folder: Path
    workers: int = 1
    resume: bool = False
    overwrite: bool = False
    progress: Callable[[int], None] = lambda pairs: None

    def make(self, name: str, request: Request, pairs: int) -> Path:
        """The file of some pairs, simulated unless it is there."""
        plan = make_plan(request, pairs, self.folder / f"{name}.h5")
        run_plan(
            plan,
            workers=self.workers,
            resume=self.resume,
            overwrite=self.overwrite,
            progress=self.progress,
        )
        return plan.target


def stand_of_file(path: str, most: int, choosing: bool, validation: str, simulation: Simulation) -> Stand:
    """A file as a data set.

    Parameters
    ----------
    path : str
        Of a data set of `specksim generate`.
    most : int
        Pairs at most, from the first; 0: all.
    choosing : bool
        Whether any method has options to be chosen on validation pairs.
    validation : str
        A file of them; empty: the same request with another split is simulated.
    simulation : Simulation

    Raises
    ------
    ValueError
        If the file is none, or the validation file has fewer exposures or the same sandpaper; or if the data
        have a measured reference and there is no validation file.
    OSError
        If a file cannot be read or written.
    """
    source = Source(Path(path).stem, Path(path))
    with open_dataset(path) as dataset:
        request, length = dataset.request, len(dataset)
    own = Source("", Path()), 0
    if choosing and validation:
        own = _given(validation, request, path)
    elif choosing:
        if request.reference:
            raise ValueError(
                f"{path}: its speckle was measured, more of it cannot be simulated: give --validation"
            )
        name = f"{source.name}-validation"
        made = simulation.make(name, _other_split(request), VALIDATION_PAIRS)
        own = Source(name, made), VALIDATION_PAIRS
    return _stand(source, min(most or length, length), *own, title=request.describe())


def stand_of_condition(condition: Condition, pairs: int, choosing: bool, simulation: Simulation) -> Stand:
    """A condition, simulated, as a data set; errors as `specksim.generate`."""
    photons = condition.request.setup.detector.photons_per_pixel
    blur = {"defocus_px": condition.defocus_px, "photons_per_pixel": photons} if condition.defocus_px else {}
    request = condition.simulated
    source = Source(condition.name, simulation.make(condition.name, request, pairs), **blur)
    own = Source("", Path()), 0
    if choosing:
        name = f"{condition.name}-validation"
        made = simulation.make(name, _other_split(request), VALIDATION_PAIRS)
        own = Source(name, made, **blur), VALIDATION_PAIRS
    stand = _stand(source, pairs, *own, title=condition.title)
    value = _measured(condition, source.path) if condition.measured else condition.value
    return replace(stand, entry=replace(stand.entry, axis=condition.axis, value=value, unit=condition.unit))


def _other_split(request: Request) -> Request:
    return replace(request, split="evaluation" if request.split == "validation" else "validation")


def _given(path: str, request: Request, data: str) -> tuple[Source, int]:
    """A validation file, checked against the request of the data it is to serve."""
    with open_dataset(path) as dataset:
        other, length = dataset.request, len(dataset)
    if other.steps < request.steps:
        raise ValueError(
            f"{path} must have the {request.steps} exposures of {data}, got {other.steps}: without "
            "--validation pairs that have are simulated"
        )
    if not request.reference and (other.seed, other.split) == (request.seed, request.split):
        raise ValueError(
            f"{path} has the sandpaper of {data} (split {request.split}, seed {request.seed}): windows must "
            "be chosen on other pairs"
        )
    return Source(Path(path).stem, Path(path)), min(length, _MOST_VALIDATION_PAIRS)


def _stand(source: Source, pairs: int, validation: Source, validation_pairs: int, *, title: str) -> Stand:
    with open_dataset(source.path) as dataset:
        content = dataset.provenance()["content_hash"]
    with open_pairs(source) as opened:
        entry = Data(
            name=source.name,
            file=str(source.path),
            content_hash=content,
            pairs=pairs,
            steps=opened.steps,
            setup_toml=opened.setup.to_toml(),
            axis="",
            value=float("nan"),
            unit="",
            title=title,
            bound_px=bound_px(source, pairs),
        )
    if not validation_pairs:
        return Stand(source, entry, None, 0, "")
    with open_dataset(validation.path) as dataset:
        return Stand(source, entry, validation, validation_pairs, dataset.provenance()["content_hash"])


def bound_px(source: Source, pairs: int) -> float:
    """Cramér–Rao bound of windows of 13 px of one exposure, px: mean over both axes and up to 8 pairs."""
    with open_pairs(source) as opened:
        found = []
        for row in evenly(pairs, _LOOKED_AT):
            reference = np.asarray(opened[row].reference[0], np.float64)
            noise = noise_variance(float(reference.mean()), opened.setup)
            found.append(displacement_bound_px(reference, BOUND_WINDOW_PX, noise))
    return float(np.mean(found))


def _measured(condition: Condition, path: Path) -> float:
    with open_dataset(path) as dataset:
        found = measure(dataset)
    return found.visibility if condition.measured == "visibility" else 0.5 * (found.width_y + found.width_x)


def require_different(names: Sequence[str]) -> None:
    """Raise ValueError if two data sets of a benchmark have one name."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"data sets must have different names, got {name!r} twice")
