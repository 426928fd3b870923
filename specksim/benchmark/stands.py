"""The data sets of a benchmark: files as they are, conditions simulated, and what windows are chosen on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from specksim.assessment import displacement_bound_px
from specksim.benchmark.conditions import Condition
from specksim.benchmark.pairs import Pairs, Source, open_pairs
from specksim.benchmark.results import Data
from specksim.dataset import open_dataset
from specksim.dataset.summary import evenly, measure
from specksim.detector import noise_variance
from specksim.generation import run_plan
from specksim.plan import make_plan
from specksim.request import Request

_LEAST_VALIDATION_PAIRS = 8

BOUND_WINDOW_PX = 13
_MOST_VALIDATION_PAIRS = 24  # of a file given for it
_LOOKED_AT = 8


@dataclass(frozen=True)
class Stand:
    """A data set, ready to be measured on; `entry` is what the results say of it."""

    source: Source
    entry: Data
    validation: Source | None


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

    def make(self, name: str, request: Request, pairs: int, **blur: float) -> Source:
        """Some pairs, simulated unless they are there."""
        plan = make_plan(request, pairs, self.folder / f"{name}.h5")
        run_plan(
            plan,
            workers=self.workers,
            resume=self.resume,
            overwrite=self.overwrite,
            progress=self.progress,
        )
        return source_of(plan.target, pairs, **blur)

    def validation(self, name: str, request: Request, **blur: float) -> Source:
        """Pairs of another split of a request, to choose windows on: every geometry in every material."""
        split = "evaluation" if request.split == "validation" else "validation"
        pairs = max(_LEAST_VALIDATION_PAIRS, len(request.geometries) * len(request.materials))
        return self.make(f"{name}-validation", replace(request, split=split), pairs, **blur)


def source_of(path: Path, most: int = 0, **blur: float) -> Source:
    """A file as a source, of so many pairs at most (0: all)."""
    with open_dataset(path) as dataset:
        length, content = len(dataset), dataset.provenance()["content_hash"]
    return Source(path.stem, path, min(most or length, length), content, **blur)


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
    source = source_of(Path(path), most)
    with open_dataset(path) as dataset:
        request = dataset.request
    own = None
    if choosing and validation:
        own = _given(validation, request, path)
    elif choosing:
        if request.reference:
            raise ValueError(
                f"{path}: its speckle was measured, more of it cannot be simulated: give --validation"
            )
        own = simulation.validation(source.name, request)
    return Stand(source, _entry(source, request.describe()), own)


def stand_of_condition(condition: Condition, pairs: int, choosing: bool, simulation: Simulation) -> Stand:
    """A condition, simulated, as a data set; errors as `specksim.generate`."""
    photons = condition.request.setup.detector.photons_per_pixel
    blur = {"defocus_px": condition.defocus_px, "photons_per_pixel": photons} if condition.defocus_px else {}
    source = simulation.make(condition.name, condition.simulated, pairs, **blur)
    own = simulation.validation(condition.name, condition.simulated, **blur) if choosing else None
    entry = _entry(source, condition.title)
    value = _value(condition, source.path)
    return Stand(source, replace(entry, axis=condition.axis, value=value, unit=condition.unit), own)


def _given(path: str, request: Request, data: str) -> Source:
    """A validation file, checked against the request of the data it is to serve."""
    with open_dataset(path) as dataset:
        other = dataset.request
    if other.steps < request.steps:
        raise ValueError(
            f"{path} must have the {request.steps} exposures of {data}, got {other.steps}: without "
            "--validation pairs that have are simulated"
        )
    if (other.seed, other.split) == (request.seed, request.split):
        raise ValueError(
            f"{path} has the sandpaper of {data} (split {request.split}, seed {request.seed}): windows must "
            "be chosen on other pairs"
        )
    if other.setup != request.setup:
        raise ValueError(f"{path} must be of the setup of {data}: {request.difference(other)}")
    return source_of(Path(path), _MOST_VALIDATION_PAIRS)


def _entry(source: Source, title: str) -> Data:
    with open_pairs(source) as opened:
        return Data(
            name=source.name,
            file=str(source.path),
            content_hash=source.content_hash,
            pairs=source.pairs,
            steps=opened.steps,
            setup_toml=opened.setup.to_toml(),
            axis="",
            value=float("nan"),
            unit="",
            title=title,
            bound_px=bound_px(opened),
        )


def bound_px(pairs: Pairs) -> float:
    """Cramér–Rao bound of windows of 13 px of one exposure, px: mean over both axes and up to 8 pairs."""
    found = []
    for row in evenly(len(pairs), _LOOKED_AT):
        reference = np.asarray(pairs[row].reference[0], np.float64)
        noise = noise_variance(float(reference.mean()), pairs.setup)
        found.append(displacement_bound_px(reference, BOUND_WINDOW_PX, noise))
    return float(np.mean(found))


def _value(condition: Condition, path: Path) -> float:
    """Place on the axis, measured where it is no number of the setup."""
    if condition.axis not in ("visibility", "speckle size"):
        return condition.value
    with open_dataset(path) as dataset:
        found = measure(dataset)
    return found.visibility if condition.axis == "visibility" else 0.5 * (found.width_y + found.width_x)


def require_different(names: Sequence[str]) -> None:
    """Raise ValueError if two data sets of a benchmark have one name."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"data sets must have different names, got {name!r} twice")
