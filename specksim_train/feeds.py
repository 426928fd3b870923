"""Feeds: batches of pairs for Keras, each a pure function of (seed, epoch, index)."""

import math
import multiprocessing
import threading
from abc import abstractmethod
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Self

import keras
import numpy as np

from specksim.workers import end_with_parent
from specksim_train import backend
from specksim_train.augmentation import NONE, Augmentation, Pair, augment
from specksim_train.backend import ALONE, Host
from specksim_train.data import Batch, PairFiles, crop_size, stack
from specksim_train.simulation import LANES, Job, SimulatedPairs, simulate_batch

_ORDER, _PAIR = 0, 1
_AHEAD = 3  # batches in preparation for each worker


class Feed(keras.utils.PyDataset):
    """Batches of one epoch. What `__getitem__` raises is kept in `failure`: TensorFlow garbles it."""

    failure: BaseException | None = None

    def __getitem__(self, index: int) -> Batch:
        try:
            return self.batch(index)
        except BaseException as error:
            self.failure = error
            raise

    @abstractmethod
    def batch(self, index: int) -> Batch:
        """Batch `index` of the epoch."""


class FileFeed(Feed):
    """Batches out of files, every pair once an epoch, in another order in each.

    Parameters
    ----------
    files : PairFiles
    batch_size : int
    seed, epoch : int
    augmentation : Augmentation or None
        None: pairs in the order of the files, cut in the middle to multiples of 16: for validation.
    crop : int or None
        Rows and columns that are cut out of each pair, a multiple of 16; None for the largest that leaves
        room for the drift.
    devices : int
        Pairs at the end beyond a multiple of this are left out: each device takes an equal share of a batch.
    host : Host
        Whose part of each batch is read.

    Notes
    -----
    A pair is one chunk of each field in the file, so that any order reads every chunk once.
    """

    def __init__(
        self,
        files: PairFiles,
        batch_size: int,
        seed: int = 0,
        epoch: int = 0,
        augmentation: Augmentation | None = None,
        crop: int | None = None,
        devices: int = 1,
        host: Host = ALONE,
    ) -> None:
        super().__init__(workers=backend.reading_threads(), max_queue_size=2 * backend.reading_threads())
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        self.host = host
        self.files, self.batch_size, self.seed, self.epoch = files, batch_size, seed, epoch
        self.augmentation = augmentation
        self.crop = crop_size(files.frame, augmentation or NONE, crop)
        self.order = np.arange(len(files))
        if augmentation is not None:
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_ORDER, epoch))).shuffle(self.order)
        self.order = self.order[: len(self.order) // devices * devices]
        if not len(self.order):
            raise ValueError(f"{len(files)} pairs cannot be shared between {devices} devices")

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def batch(self, index: int) -> Batch:
        numbers = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return stack([self._pair(int(number)) for number in numbers[self.host.part(len(numbers))]])

    def _pair(self, number: int) -> Pair:
        if self.augmentation is None:
            return _middle(self.files.read(number), self.crop)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(_PAIR, self.epoch, number)))
        step = int(rng.integers(self.files.steps(number)))
        return augment(self.files.read(number, step), self.crop, self.augmentation, rng)


def _middle(pair: Pair, crop: tuple[int, int]) -> Pair:
    start = [(size - wanted) // 2 for size, wanted in zip(pair["dx"].shape, crop, strict=True)]
    window = tuple(slice(first, first + wanted) for first, wanted in zip(start, crop, strict=True))
    return {name: values[window] for name, values in pair.items()}


class Simulator:
    """Worker processes that simulate batches ahead of the training, for as long as its context lasts."""

    def __init__(self, pairs: SimulatedPairs, seed: int, host: Host = ALONE) -> None:
        self.pairs, self.seed, self.host = pairs, seed, host
        context = multiprocessing.get_context("spawn")
        workers = min(pairs.workers, LANES)
        # one executor a worker: a lane stays with the worker that holds its field
        self._workers = [ProcessPoolExecutor(1, context, initializer=end_with_parent) for _ in range(workers)]

    def feed(self, epoch: int, batch_size: int, augmentation: Augmentation) -> "SimulatedFeed":
        """The batches of one epoch."""
        return SimulatedFeed(self, epoch, batch_size, augmentation)

    def submit(self, job: Job) -> Future[Batch]:
        """Have a batch simulated by the worker of its lane."""
        return self._workers[job.lane % len(self._workers)].submit(simulate_batch, job)

    @property
    def ahead(self) -> int:
        """Batches that may be in preparation at a time."""
        return _AHEAD * len(self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        part = simulator.host.part(self.batch_size)
        batch = (self.epoch, index, self.batch_size, self.augmentation)
        return simulator.submit(Job(simulator.pairs, simulator.seed, *batch, part.start, part.stop))
