"""Feeds: batches of pairs for Keras, each a pure function of (seed, epoch, index)."""

import math
import multiprocessing
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Self

import keras
import numpy as np

from specksim.workers import end_with_parent
from specksim_train.augmentation import NONE, Augmentation
from specksim_train.backend import ALONE, Host
from specksim_train.data import (
    Batch,
    PairFiles,
    Reading,
    begin_reading,
    crop_size,
    read_batch,
    read_own_batch,
)
from specksim_train.simulation import LANES, Job, SimulatedPairs, simulate_batch

_ORDER = 0  # data.py has the key of the pairs
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
        super().__init__()
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
        return read_batch(self.files, self.reading(index))

    def reading(self, index: int) -> Reading:
        """What is to be read for a batch."""
        numbers = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        own = numbers[self.host.part(len(numbers))]
        return Reading(tuple(map(int, own)), self.seed, self.epoch, self.augmentation, self.crop)


class PreparedFeed(Feed):
    """Batches of one epoch that worker processes prepare ahead of the training.

    Parameters
    ----------
    length : int
        Batches.
    submit : callable
        Has batch `index` prepared.
    ahead : int
        Batches that may be in preparation at a time.
    """

    def __init__(self, length: int, submit: Callable[[int], Future[Batch]], ahead: int) -> None:
        super().__init__()
        self.length, self.submit, self.ahead = length, submit, ahead
        self._coming: dict[int, Future[Batch]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.length

    def batch(self, index: int) -> Batch:
        with self._lock:
            for k in range(index, min(index + self.ahead, len(self))):
                if k not in self._coming:
                    self._coming[k] = self.submit(k)
            for k in [k for k in self._coming if k < index - 2]:
                del self._coming[k]  # Keras looks at the first two batches twice
            future = self._coming[index]
        try:
            return future.result()
        except BrokenProcessPool:
            raise RuntimeError(
                "a process that prepares batches has died, for want of memory perhaps; --resume goes on"
            ) from None


class Readers:
    """Worker processes that read and vary batches, for as long as its context lasts.

    One process reads and varies some 350 pairs a second, which keeps up with a CPU that trains, but is a
    small part of what an accelerator takes; threads would wait for each other.
    """

    def __init__(self, files: PairFiles, workers: int) -> None:
        self.ahead = _AHEAD * workers
        self._pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=begin_reading, initargs=(files,)
        )

    def feed(self, feed: FileFeed) -> PreparedFeed:
        """The batches of another feed, of the same files."""
        return PreparedFeed(
            len(feed), lambda index: self._pool.submit(read_own_batch, feed.reading(index)), self.ahead
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Simulator:
    """Worker processes that simulate batches ahead of the training, for as long as its context lasts."""

    def __init__(self, pairs: SimulatedPairs, seed: int, host: Host = ALONE) -> None:
        self.pairs, self.seed, self.host = pairs, seed, host
        context = multiprocessing.get_context("spawn")
        workers = min(pairs.workers, LANES)
        # one executor a worker: a lane stays with the worker that holds its field
        self._workers = [ProcessPoolExecutor(1, context, initializer=end_with_parent) for _ in range(workers)]

    def feed(self, epoch: int, batch_size: int, augmentation: Augmentation) -> PreparedFeed:
        """The batches of one epoch."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        part = self.host.part(batch_size)

        def submit(index: int) -> Future[Batch]:
            batch = (epoch, index, batch_size, augmentation)
            job = Job(self.pairs, self.seed, *batch, part.start, part.stop)
            return self._workers[job.lane % len(self._workers)].submit(simulate_batch, job)

        length = math.ceil(self.pairs.pairs_per_epoch / batch_size)
        return PreparedFeed(length, submit, _AHEAD * len(self._workers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.shutdown(wait=False, cancel_futures=True)
