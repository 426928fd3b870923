"""Pairs simulated by worker processes while the network trains, never the same twice.

Batch i of an epoch belongs to lane i mod 8. A lane has its own sandpaper field, a new one after every
`pairs_per_field` pairs, and stays with one worker. So no field is computed twice, workers share nothing,
and a batch depends on (seed, epoch, i) alone, whatever the number of workers.
"""

import math
import multiprocessing
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import numpy as np

from specksim import phantoms
from specksim.request import Request
from specksim.sandpaper import SpeckleField, simulate_field
from specksim.setups import Setup
from specksim_train.augmentation import Augmentation, augment
from specksim_train.data import Batch, Feed, Survey, crop_size, stack, survey_pairs
from specksim_train.simulation import SmoothField, draw_object, draw_smooth_field, simulate_training_pair

_LANES = 8
_FIELD, _PAIR = 0, 1
_SURVEYED = 16
_AHEAD = 3  # batches in preparation for each worker


@dataclass(frozen=True)
class SimulatedPairs:
    """Training pairs that are simulated on the fly.

    Attributes
    ----------
    request : Request
        Setup, materials and geometries; its split and seed are not used.
    pairs_per_epoch : int
    workers : int
        Processes, >= 1.
    smooth_share : float
        Share of the pairs with a drift or smooth field added, 0 to 1; half of them hold no object.
    """

    request: Request
    pairs_per_epoch: int = 1200
    workers: int = 1
    smooth_share: float = 0.5

    def __post_init__(self) -> None:
        if self.pairs_per_epoch < 1 or self.workers < 1:
            raise ValueError(
                f"pairs_per_epoch and workers must be >= 1, got {self.pairs_per_epoch} and {self.workers}"
            )
        if not 0 <= self.smooth_share <= 1:
            raise ValueError(f"smooth_share must be between 0 and 1, got {self.smooth_share}")

    def describe(self) -> dict[str, Any]:
        """All that the pairs depend on, for config.json; not the workers."""
        return {
            "request": self.request.to_json(),
            "pairs_per_epoch": self.pairs_per_epoch,
            "smooth_share": self.smooth_share,
        }

    def survey(self) -> Survey:
        """What such pairs look like, from a few."""
        setup = self.request.setup
        batch = Job(self, 0, 0, 0, _SURVEYED, None)
        return survey_pairs(
            simulate_pairs(batch),
            frame=(setup.detector.rows, setup.detector.columns),
            setups=(setup.to_toml(),),
            content_hashes={},
        )

    @contextmanager
    def start(self, seed: int) -> Iterator["Simulator"]:
        """Worker processes, for as long as the context lasts."""
        simulator = Simulator(self, seed)
        try:
            yield simulator
        finally:
            simulator.close()


@dataclass(frozen=True)
class Job:
    """Batch `index` of an epoch, to be simulated; `augmentation` None for pairs as they are."""

    pairs: SimulatedPairs
    seed: int
    epoch: int
    index: int
    pairs_in_batch: int
    augmentation: Augmentation | None


def simulate_batch(job: Job) -> Batch:
    """Simulate one batch; runs in a worker."""
    return stack(list(simulate_pairs(job)))


def simulate_pairs(job: Job) -> Iterator[dict[str, np.ndarray]]:
    """The pairs of a batch."""
    request = job.pairs.request
    setup = request.setup
    frame = (setup.detector.rows, setup.detector.columns)
    per_field = max(1, setup.numerics.pairs_per_field // job.pairs_in_batch)
    per_epoch = math.ceil(job.pairs.pairs_per_epoch / job.pairs_in_batch)
    total = job.epoch * per_epoch + job.index
    lane, turn = total % _LANES, total // _LANES // per_field
    field = _field(setup, job.seed, lane, turn)
    for k in range(job.pairs_in_batch):
        sequence = np.random.SeedSequence(job.seed, spawn_key=(_PAIR, job.epoch, job.index, k))
        draw, crop, noise, vary = (np.random.default_rng(child) for child in sequence.spawn(4))
        smooth, scene = SmoothField(), None
        with_smooth = draw.random() < job.pairs.smooth_share
        if with_smooth:
            smooth = draw_smooth_field(draw, *frame)
        if not with_smooth or draw.random() < 0.5:
            scene = draw_object(draw, setup, request.geometries, request.materials)
        pair = simulate_training_pair(setup, scene, smooth, field, crop, noise)
        if job.augmentation is not None:
            pair = augment(pair, crop_size(frame, job.augmentation, None), job.augmentation, vary)
        yield pair


_fields: OrderedDict[tuple[str, int, int, int], SpeckleField] = OrderedDict()
"""The fields of a worker's lanes. A process that serves one call after the other has nowhere else to keep
them."""


def _field(setup: Setup, seed: int, lane: int, turn: int) -> SpeckleField:
    key = (setup.to_toml(), seed, lane, turn)
    if key not in _fields:
        for old in [other for other in _fields if other[:3] == key[:3]]:
            del _fields[old]  # a lane never goes back
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_FIELD, lane, turn)))
        _fields[key] = simulate_field(setup, rng)
        while len(_fields) > _LANES:
            _fields.popitem(last=False)
    return _fields[key]


class Simulator:
    """Worker processes that simulate batches ahead of the training. Made by `SimulatedPairs.start`."""

    def __init__(self, pairs: SimulatedPairs, seed: int) -> None:
        self.pairs, self.seed = pairs, seed
        context = multiprocessing.get_context("spawn")
        workers = min(pairs.workers, _LANES)
        # one executor a worker: a lane stays with the worker that holds its field
        self._workers = [ProcessPoolExecutor(1, context, initializer=_begin) for _ in range(workers)]

    def feed(self, epoch: int, batch_size: int, augmentation: Augmentation) -> "SimulatedFeed":
        """The batches of one epoch."""
        return SimulatedFeed(self, epoch, batch_size, augmentation)

    def submit(self, job: Job, total: int) -> Future[Batch]:
        """Have a batch simulated by the worker of its lane."""
        return self._workers[total % _LANES % len(self._workers)].submit(simulate_batch, job)

    @property
    def ahead(self) -> int:
        """Batches that may be in preparation at a time."""
        return _AHEAD * len(self._workers)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.shutdown(wait=False, cancel_futures=True)


class SimulatedFeed(Feed):
    """Simulated batches of one epoch; made by `Simulator.feed`."""

    def __init__(
        self, simulator: Simulator, epoch: int, batch_size: int, augmentation: Augmentation, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        self.simulator, self.epoch, self.batch_size = simulator, epoch, batch_size
        self.augmentation = augmentation
        self._coming: dict[int, Future[Batch]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return math.ceil(self.simulator.pairs.pairs_per_epoch / self.batch_size)

    def batch(self, index: int) -> Batch:
        with self._lock:
            for k in range(index, min(index + self.simulator.ahead, len(self))):
                if k not in self._coming:
                    self._coming[k] = self._submit(k)
            for k in [k for k in self._coming if k < index - 2]:
                del self._coming[k]  # Keras looks at the first two batches twice
            future = self._coming[index]
        return future.result()

    def _submit(self, index: int) -> Future[Batch]:
        simulator = self.simulator
        job = Job(simulator.pairs, simulator.seed, self.epoch, index, self.batch_size, self.augmentation)
        return simulator.submit(job, self.epoch * len(self) + index)


def _begin() -> None:
    """Start of a worker: end when the trainer is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def training_request(setup: Setup, material: str) -> Request:
    """The four training geometries in a material, or `mixed`."""
    return Request.create(setup, material=material, geometries=phantoms.TRAINING)
