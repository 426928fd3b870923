"""Pairs of images to measure methods on, and what is measured of one retrieval.

`specksim-train evaluate` measures networks by the same functions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from specksim import detector
from specksim.benchmark.metrics import displacement_classes, tally
from specksim.dataset import open_dataset
from specksim.forward import SpecklePair
from specksim.retrieval import Retrieval, integrate_phase
from specksim.setups import Setup

ZERO_MOTION = ("zero motion, identical", "zero motion, two exposures")

_Images = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Source:
    """Where pairs come from.

    Attributes
    ----------
    name : str
    path : Path
        A data set of `specksim generate`.
    pairs : int
        How many of them, from the first.
    content_hash : str
        Of the data set.
    defocus_px : float
        Gaussian blur (sigma) of the sample images alone, as if the focus had moved between the exposures,
        detector pixels. Only of data without noise, which is drawn after the blur.
    photons_per_pixel : float
        Of that noise.
    """

    name: str
    path: Path
    pairs: int
    content_hash: str
    defocus_px: float = 0.0
    photons_per_pixel: float = 0.0


@dataclass(frozen=True)
class Pairs:
    """The pairs of a source, while it is open. Made by `open_pairs`.

    Attributes
    ----------
    setup : Setup
        How the images came about, those of a defocused source included.
    steps : int
        Exposures of each pair.
    seed : int
        Of the data set.
    """

    setup: Setup
    steps: int
    seed: int
    _source: Source
    _pairs: Sequence[SpecklePair]

    def __len__(self) -> int:
        return self._source.pairs

    def __getitem__(self, row: int) -> SpecklePair:
        """A pair, its images in photons."""
        pair = self._pairs[row]
        if self._source.defocus_px > 0:
            return _defocused(pair, self._source.defocus_px, self.setup, self.seed)
        return replace(
            pair,
            reference=detector.positive_photons(pair.reference, self.setup),
            sample=detector.positive_photons(pair.sample, self.setup),
        )


@contextmanager
def open_pairs(source: Source) -> Iterator[Pairs]:
    """Open a source; errors as `open_dataset`."""
    with open_dataset(source.path) as dataset:
        request = dataset.request
        setup = request.setup
        if source.defocus_px > 0:
            setup = setup.with_values(detector__photons_per_pixel=source.photons_per_pixel)
        yield Pairs(setup, request.steps, request.seed, source, dataset)  # type: ignore[arg-type]


def _defocused(pair: SpecklePair, sigma_px: float, setup: Setup, seed: int) -> SpecklePair:
    """A pair without noise, its sample images blurred, and then both exposed; the same in every run."""
    noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(pair.index,)))
    blurred = ndimage.gaussian_filter(pair.sample, (0, sigma_px, sigma_px), mode="nearest")
    reference, sample = (detector.expose(images, setup, noise) for images in (pair.reference, blurred))
    return replace(pair, reference=reference, sample=sample)


def exposures_of(pair: SpecklePair, number: int) -> _Images:
    """The first exposures of a pair, (K, H, W); (H, W) where it is one."""
    if number == 1:
        return pair.reference[0], pair.sample[0]
    return pair.reference[:number], pair.sample[:number]


def zero_motion_pairs(reference: np.ndarray, seed: int, photons: bool = True) -> dict[str, _Images]:
    """Images without motion, made of one image or stack: the same twice; and two exposures.

    Two exposures, each of half the photons, are a binomial draw (with the seed given) from counts of
    photons; they are left out where the images are none.
    """
    pairs = {ZERO_MOTION[0]: (reference, reference)}
    if photons and reference.dtype.kind == "u":
        half = np.random.default_rng(seed).binomial(reference, 0.5)
        pairs[ZERO_MOTION[1]] = (half.astype(reference.dtype), (reference - half).astype(reference.dtype))
    return pairs


# ---- what is measured -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """Errors of the retrieval of one pair.

    Attributes
    ----------
    geometry, material : str
        Of the pair.
    tallies : dict of (group, pixels) to (TALLY_SIZE,) array
        Group "all", each class of displacement, each kind of zero motion; pixels "all" or "valid".
    numbers : dict of (group, metric) to float
        What there is one of for the whole pair, such as ("all", "phase_rmse").
    """

    geometry: str
    material: str
    tallies: dict[tuple[str, str], np.ndarray]
    numbers: dict[tuple[str, str], float] = field(default_factory=dict)


def displacement_error(result: Retrieval, truth: np.ndarray) -> np.ndarray:
    """(dx, dy) − truth, (H, W, 2), px."""
    return np.stack([result.dx, result.dy], axis=-1).astype(np.float64) - truth


def true_displacement(pair: SpecklePair) -> np.ndarray:
    """(dx, dy), (H, W, 2), px."""
    return np.stack([pair.dx, pair.dy], axis=-1)


def measure(result: Retrieval, pair: SpecklePair, setup: Setup) -> Measurement:
    """Errors of a result, by class of displacement, in all and in valid pixels; and of its phase.

    Raises
    ------
    ValueError
        If the result is not finite, or of another shape than the truth.

    Notes
    -----
    The phase is integrated from dx and dy in the same way for every method, and compared to what the same
    integration makes of the true ones; the constant, which is free, is taken off the difference.
    """
    if result.dx.shape != pair.dx.shape:
        raise ValueError(f"the result must have the shape {pair.dx.shape}, got {result.dx.shape}")
    truth = true_displacement(pair)
    error = displacement_error(result, truth)
    valid = pair.valid > 0
    groups = {"all": np.ones_like(valid), **displacement_classes(truth)}
    tallies = {
        (group, pixels): tally(error, truth, where & valid if pixels == "valid" else where)
        for group, where in groups.items()
        for pixels in ("all", "valid")
    }
    phase = integrate_phase(result.dx, result.dy, setup) - integrate_phase(pair.dx, pair.dy, setup)
    numbers = {("all", "phase_rmse"): float(np.std(phase, dtype=np.float64))}
    return Measurement(pair.scene["geometry"], pair.scene["material"], tallies, numbers)


def measure_still(result: Retrieval) -> np.ndarray:
    """Tally of a result for images without motion."""
    error = np.stack([result.dx, result.dy], axis=-1)
    return tally(error, np.zeros_like(error), np.ones(error.shape[:-1], bool))


def members(pairs: Sequence[Measurement]) -> dict[str, list[int]]:
    """Which pairs are in which group: all, each geometry, each material."""
    groups = {"all": list(range(len(pairs)))}
    for kind in ("geometry", "material"):
        for number, pair in enumerate(pairs):
            groups.setdefault(f"{kind} {getattr(pair, kind)}", []).append(number)
    return groups
