"""Training pairs simulated while a network trains: objects, and drifts and smooth fields behind them.

Batch i of a run belongs to lane i mod 8. A lane has its own sandpaper field, a new one after every
`pairs_per_field` pairs, and stays with one worker. So no field is computed twice, workers share nothing,
and a batch depends on (seed, epoch, i) alone, whatever the number of workers.

A share of the pairs also drifts, see `specksim.drift`; half of these hold no object.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim import phantoms
from specksim.drift import draw_drift
from specksim.forward import SpecklePair, simulate_pair
from specksim.request import Request
from specksim.sandpaper import SpeckleField, simulate_field
from specksim.setups import Setup
from specksim_train.augmentation import Augmentation, Pair, augment
from specksim_train.data import Batch, Survey, crop_size, stack, survey_pairs

LANES = 8
_FIELD, _PAIR = 0, 1
_SURVEYED = 16


def draw_object(
    rng: np.random.Generator, setup: Setup, geometries: Sequence[str], materials: Sequence[str]
) -> dict[str, Any]:
    """Draw a scene of one of the geometries in one of the materials."""
    geometry = geometries[int(rng.integers(len(geometries)))]
    material = materials[int(rng.integers(len(materials)))]
    return phantoms.draw_scene(geometry, material, setup, rng)


def plain_pair(pair: SpecklePair) -> Pair:
    """What a network is trained with, of the first exposure."""
    maps = {name: getattr(pair, name) for name in ("dx", "dy", "valid")}
    return {"reference": pair.reference[0], "sample": pair.sample[0], **maps}


@dataclass(frozen=True)
class SimulatedPairs:
    """Training pairs that are simulated on the fly.

    Attributes
    ----------
    request : Request
        Setup, materials, geometries, propagation and drift; its split, seed and steps are not used.
    pairs_per_epoch : int
    workers : int
        Processes, >= 1.
    """

    request: Request
    pairs_per_epoch: int = 1200
    workers: int = 1

    def __post_init__(self) -> None:
        if self.pairs_per_epoch < 1 or self.workers < 1:
            raise ValueError(
                f"pairs_per_epoch and workers must be >= 1, got {self.pairs_per_epoch} and {self.workers}"
            )

    def describe(self) -> dict[str, Any]:
        """All that the pairs depend on, for config.json; not the workers."""
        return {
            "request": self.request.to_json(),
            "pairs_per_epoch": self.pairs_per_epoch,
        }

    def survey(self) -> Survey:
        """What such pairs look like, from a few."""
        setup = self.request.setup
        batch = Job(self, 0, 0, 0, _SURVEYED, None)
        return survey_pairs(
            simulate_pairs(batch),
            frame=setup.detector.shape,
            setups=(setup.to_toml(),),
            content_hashes={},
        )


@dataclass(frozen=True)
class Job:
    """Pairs first … stop − 1 of batch `index` of an epoch; `augmentation` None for pairs as they are."""

    pairs: SimulatedPairs
    seed: int
    epoch: int
    index: int
    pairs_in_batch: int
    augmentation: Augmentation | None
    first: int = 0
    stop: int | None = None

    @property
    def number(self) -> int:
        """The batch's number in the whole run."""
        return self.epoch * math.ceil(self.pairs.pairs_per_epoch / self.pairs_in_batch) + self.index

    @property
    def lane(self) -> int:
        """The lane it belongs to."""
        return self.number % LANES


def simulate_batch(job: Job) -> Batch:
    """Simulate one batch; runs in a worker."""
    return stack(list(simulate_pairs(job)))


def simulate_pairs(job: Job) -> Iterator[dict[str, np.ndarray]]:
    """The pairs of a batch."""
    request = job.pairs.request
    setup = request.setup
    frame = setup.detector.shape
    per_field = max(1, setup.numerics.pairs_per_field // job.pairs_in_batch)
    field = _field(request, job.seed, job.lane, job.number // LANES // per_field)
    for k in range(job.pairs_in_batch)[job.first : job.stop]:
        sequence = np.random.SeedSequence(job.seed, spawn_key=(_PAIR, job.epoch, job.index, k))
        draw, crop, noise, vary = (np.random.default_rng(child) for child in sequence.spawn(4))
        drifts = draw.random() < request.drift
        geometries = ("empty",) if drifts and draw.random() < 0.5 else request.geometries
        scene = draw_object(draw, setup, geometries, request.materials)
        if drifts:
            scene["drift"] = draw_drift(draw, setup).to_json()
        pair = plain_pair(simulate_pair(setup, scene, field, crop, noise, propagation=request.propagation))
        if job.augmentation is not None:
            pair = augment(pair, crop_size(frame, job.augmentation, None), job.augmentation, vary)
        yield pair


_fields: OrderedDict[tuple[str, int, int, int], SpeckleField] = OrderedDict()
"""The fields of a worker's lanes. A process that serves one call after the other has nowhere else to keep
them."""


def _field(request: Request, seed: int, lane: int, turn: int) -> SpeckleField:
    key = (request.to_json(), seed, lane, turn)
    if key not in _fields:
        for old in [other for other in _fields if other[:3] == key[:3]]:
            del _fields[old]  # a lane never goes back
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_FIELD, lane, turn)))
        _fields[key] = simulate_field(request.setup, rng, waves=request.propagation == "waves")
        while len(_fields) > LANES:
            _fields.popitem(last=False)
    return _fields[key]
