"""Pairs out of data sets, what they hold, and how pairs become a batch."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specksim.dataset import SpeckleDataset, open_dataset
from specksim.request import Request
from specksim.workers import end_with_parent
from specksim_train.augmentation import Augmentation, Pair, augment
from specksim_train.inference import speckle_visibility
from specksim_train.tiling import MULTIPLE

Batch = tuple[np.ndarray, np.ndarray]
"""Images (B, H, W, 2) float32 counts, channels (reference, sample), and target (B, H, W, 3) float32, channels
(dx, dy, valid); see `specksim_train.losses`."""

_PAIR = 1  # key of a pair's random numbers; 0 is that of the order, see feeds.py


@dataclass(frozen=True)
class Survey:
    """What training files hold, as far as a network must know it to be used with care.

    Attributes
    ----------
    frame : (int, int)
        Rows and columns.
    pairs : int
    displacement_px : float
        99.9th percentile of |d|.
    visibility : (float, float)
        Smallest and largest std/mean of the references, photon noise taken off.
    photons : (float, float)
        Smallest and largest mean count of the references; about 1 for images without noise.
    setups : tuple of str
        The setups of the files, as TOML, each once.
    content_hashes : dict
        By the file's path.
    """

    frame: tuple[int, int]
    pairs: int
    displacement_px: float
    visibility: tuple[float, float]
    photons: tuple[float, float]
    setups: tuple[str, ...]
    content_hashes: dict[str, str]


class PairFiles:
    """Pairs of one or several data sets of one frame size, opened when first used in each process.

    Parameters
    ----------
    paths : sequence of path-like

    Raises
    ------
    ValueError
        If there is no file, one is not a data set, or frames differ.
    OSError
        If a file cannot be read.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self.paths = tuple(Path(path) for path in paths)
        if not self.paths:
            raise ValueError("at least one data set is needed")
        self._open: dict[Path, SpeckleDataset] = {}
        self._process = os.getpid()
        frames, self._lengths, self._steps = {}, [], []
        for path in self.paths:
            dataset = self._dataset(path)
            detector = dataset.request.setup.detector
            frames[path] = detector.shape
            self._lengths.append(len(dataset))
            self._steps.append(dataset.request.steps)
        self.frame = frames[self.paths[0]]
        for path, frame in frames.items():
            if frame != self.frame:
                raise ValueError(
                    f"{path}: frames are {frame[0]} × {frame[1]}, those of {self.paths[0]} are "
                    f"{self.frame[0]} × {self.frame[1]}; train on one size at a time"
                )
        if min(self.frame) < MULTIPLE:
            raise ValueError(f"frames must be at least {MULTIPLE} px, got {self.frame[0]} × {self.frame[1]}")

    def __len__(self) -> int:
        return sum(self._lengths)

    @property
    def requests(self) -> dict[str, Request]:
        """What was asked for when each file was made, by its path."""
        return {str(path): self._dataset(path).request for path in self.paths}

    def _dataset(self, path: Path) -> SpeckleDataset:
        if os.getpid() != self._process:  # a handle must not be shared with a forked process
            self._open, self._process = {}, os.getpid()
        if path not in self._open:
            self._open[path] = open_dataset(path)
        return self._open[path]

    def place(self, number: int) -> tuple[Path, int]:
        """File and row of a pair."""
        for path, length in zip(self.paths, self._lengths, strict=True):
            if number < length:
                return path, number
            number -= length
        raise IndexError(f"pair {number} beyond the end of the files")

    def steps(self, number: int) -> int:
        """Positions of the sandpaper of a pair."""
        return self._steps[self.paths.index(self.place(number)[0])]

    def read(self, number: int, step: int = 0) -> Pair:
        """A pair at one position of the sandpaper, as the file has it.

        Raises
        ------
        ValueError
            If a value is not finite, or cannot be read.
        """
        path, row = self.place(number)
        dataset = self._dataset(path)
        pair = {name: dataset.read(name, row) for name in ("reference", "sample", "dx", "dy", "valid")}
        for name in ("reference", "sample"):
            pair[name] = pair[name][step]
        for name, values in pair.items():
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                raise ValueError(f"{path}: pair {row}: {name} must be finite, but holds NaN or infinity")
        return pair

    def survey(self) -> Survey:
        """Read everything once, and refuse what cannot be trained on.

        Raises
        ------
        ValueError
            If a value is not finite, or an image is empty.
        """
        datasets = {str(path): self._dataset(path) for path in self.paths}
        return survey_pairs(
            (self._with_light(number) for number in range(len(self))),
            frame=self.frame,
            setups=tuple(dict.fromkeys(dataset.request.setup.to_toml() for dataset in datasets.values())),
            content_hashes={path: dataset.provenance()["content_hash"] for path, dataset in datasets.items()},
        )

    def _with_light(self, number: int) -> Pair:
        pair = self.read(number)
        mean = float(pair["reference"].mean())
        if mean <= 0:
            path, row = self.place(number)
            raise ValueError(f"{path}: pair {row}: the reference must hold counts, its mean is {mean:g}")
        return pair

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


def survey_pairs(
    pairs: Iterable[Pair], *, frame: tuple[int, int], setups: tuple[str, ...], content_hashes: dict[str, str]
) -> Survey:
    """Ranges of displacement, visibility and counts over pairs."""
    ranges = []
    for pair in pairs:
        reference = pair["reference"].astype(np.float32)
        length = np.hypot(pair["dx"], pair["dy"])
        ranges.append((np.percentile(length, 99.9), speckle_visibility(reference), float(reference.mean())))
    displacement, visibility, photons = np.array(ranges).T
    return Survey(
        frame=frame,
        pairs=len(ranges),
        displacement_px=float(displacement.max()),
        visibility=(float(visibility.min()), float(visibility.max())),
        photons=(float(photons.min()), float(photons.max())),
        setups=setups,
        content_hashes=content_hashes,
    )


def crop_size(frame: tuple[int, int], augmentation: Augmentation, crop: int | None) -> tuple[int, int]:
    """Rows and columns of the cut: multiples of 16 that leave room for the drift.

    Raises
    ------
    ValueError
        If `crop` is not a multiple of 16, or too large, or the frame too small.
    """
    room = augmentation.drift_px if augmentation.drift_share else 0
    largest = [(size - room) // MULTIPLE * MULTIPLE for size in frame]
    if crop is None:
        if min(largest) < MULTIPLE:
            raise ValueError(f"frames of {frame[0]} × {frame[1]} px are too small for a drift of {room} px")
        return largest[0], largest[1]
    if crop % MULTIPLE or not MULTIPLE <= crop <= min(largest):
        raise ValueError(
            f"crop must be a multiple of {MULTIPLE} and <= {min(largest)}, in frames of {frame[0]} × "
            f"{frame[1]} with room for a drift of {room} px, got {crop}"
        )
    return crop, crop


def stack(pairs: Sequence[Pair]) -> Batch:
    """Pairs as one batch."""
    batch = []
    for names in (("reference", "sample"), ("dx", "dy", "valid")):
        values = [np.stack([pair[name] for name in names], axis=-1) for pair in pairs]
        batch.append(np.ascontiguousarray(np.stack(values), dtype=np.float32))
    return batch[0], batch[1]


@dataclass(frozen=True)
class Reading:
    """A batch to be read: which pairs, and how they are varied; `augmentation` None cuts out their middle."""

    numbers: tuple[int, ...]
    seed: int
    epoch: int
    augmentation: Augmentation | None
    crop: tuple[int, int]


def read_batch(files: PairFiles, reading: Reading) -> Batch:
    """Read and vary the pairs of a batch, each as a function of (seed, epoch, number) alone."""
    return stack([_varied(files, number, reading) for number in reading.numbers])


def _varied(files: PairFiles, number: int, reading: Reading) -> Pair:
    if reading.augmentation is None:
        return _middle(files.read(number), reading.crop)
    key = (_PAIR, reading.epoch, number)
    rng = np.random.default_rng(np.random.SeedSequence(reading.seed, spawn_key=key))
    step = int(rng.integers(files.steps(number)))
    return augment(files.read(number, step), reading.crop, reading.augmentation, rng)


def _middle(pair: Pair, crop: tuple[int, int]) -> Pair:
    start = [(size - wanted) // 2 for size, wanted in zip(pair["dx"].shape, crop, strict=True)]
    window = tuple(slice(first, first + wanted) for first, wanted in zip(start, crop, strict=True))
    return {name: values[window] for name, values in pair.items()}


_own: list[PairFiles] = []
"""The files of a process that does nothing but read. One that serves a call after the other has nowhere else
to keep them open."""


def begin_reading(files: PairFiles) -> None:
    """Make this process one that reads batches of these files, as long as its parent lives."""
    end_with_parent()
    _own[:] = [files]


def read_own_batch(reading: Reading) -> Batch:
    """`read_batch` in such a process."""
    return read_batch(_own[0], reading)
