"""Training pairs simulated while a network trains: objects, and drifts and smooth fields behind them.

Batch i of a run belongs to lane i mod 8. A lane has its own sandpaper field, a new one after every
`pairs_per_field` pairs, and stays with one worker. So no field is computed twice, workers share nothing,
and a batch depends on (seed, epoch, i) alone, whatever the number of workers.

A network that has only seen objects in an otherwise empty frame learns that the frame is empty, and is off
where something else moves. So a share of the pairs is also displaced by what no object explains: sandpaper or
beam drifting between the exposures, wedges, bent mirrors.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim import detector, phantoms
from specksim.request import Request
from specksim.sandpaper import SpeckleField, cut, draw_places, simulate_field
from specksim.setups import Setup
from specksim.tracing import mean_refraction, refract, refracted_light, trace_object
from specksim.validity import valid_mask
from specksim_train.augmentation import Augmentation, augment
from specksim_train.data import Batch, Survey, crop_size, stack, survey_pairs

LANES = 8
_NOTHING: dict[str, Any] = {"geometry": "empty", "material": "nylon"}
_CONSTANT_PX = (0.02, 3.0)
_STRAIN_PX = 1.5  # most that a linear field adds at the edge of the frame
_WAVE_PX = 0.5
_FIELD, _PAIR = 0, 1
_SURVEYED = 16


@dataclass(frozen=True)
class Wave:
    """A curl-free ripple d(r) = amplitude · k/|k| · sin(k · r + phase), r in pixels from the centre."""

    amplitude_px: float
    wave_x_per_px: float
    wave_y_per_px: float
    phase_rad: float


@dataclass(frozen=True)
class SmoothField:
    """A smooth displacement over the whole frame, pixels, from reference to sample.

    Attributes
    ----------
    constant_px : (float, float)
        (dx, dy) in the frame's centre.
    strain : (float, float, float)
        (∂dx/∂x, ∂dx/∂y = ∂dy/∂x, ∂dy/∂y): a wedge of varying slope, a lens, a bent mirror.
    waves : tuple of Wave
    """

    constant_px: tuple[float, float] = (0.0, 0.0)
    strain: tuple[float, float, float] = (0.0, 0.0, 0.0)
    waves: tuple[Wave, ...] = ()

    def sample(self, y_px: np.ndarray, x_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(dx, dy) at pixels from the frame's centre: (H,) and (W,) in, two (H, W) float32 out."""
        y, x = y_px[:, None], x_px[None, :]
        dx = self.constant_px[0] + self.strain[0] * x + self.strain[1] * y
        dy = self.constant_px[1] + self.strain[1] * x + self.strain[2] * y
        for wave in self.waves:
            ripple = wave.amplitude_px * np.sin(
                wave.wave_x_per_px * x + wave.wave_y_per_px * y + wave.phase_rad
            )
            length = math.hypot(wave.wave_x_per_px, wave.wave_y_per_px)
            dx = dx + ripple * (wave.wave_x_per_px / length)
            dy = dy + ripple * (wave.wave_y_per_px / length)
        return dx.astype(np.float32), dy.astype(np.float32)

    def farthest_px(self, rows: int, columns: int) -> float:
        """An upper bound of the displacement along an axis over a frame."""
        half = 0.5 * max(rows, columns)
        constant = max(map(abs, self.constant_px))
        return (
            constant
            + 2 * half * max(map(abs, self.strain))
            + sum(abs(wave.amplitude_px) for wave in self.waves)
        )


def draw_smooth_field(rng: np.random.Generator, rows: int, columns: int) -> SmoothField:
    """Draw a drift (0.02 to 3 px), in half of the draws with a linear part, in half with ripples."""
    size = math.exp(rng.uniform(math.log(_CONSTANT_PX[0]), math.log(_CONSTANT_PX[1])))
    angle = rng.uniform(0, 2 * math.pi)
    side = min(rows, columns)
    strain = rng.uniform(-1, 1, 3) * (rng.random() < 0.5) * 2 * _STRAIN_PX * rng.random() / side
    waves = []
    for _ in range(rng.integers(1, 4) if rng.random() < 0.5 else 0):
        length_px = math.exp(rng.uniform(math.log(side / 4), math.log(2 * side)))
        turn = rng.uniform(0, 2 * math.pi)
        waves.append(
            Wave(
                rng.uniform(0, _WAVE_PX),
                2 * math.pi / length_px * math.cos(turn),
                2 * math.pi / length_px * math.sin(turn),
                rng.uniform(0, 2 * math.pi),
            )
        )
    xx, xy, yy = (float(value) for value in strain)
    return SmoothField((size * math.cos(angle), size * math.sin(angle)), (xx, xy, yy), tuple(waves))


def draw_object(
    rng: np.random.Generator, setup: Setup, geometries: Sequence[str], materials: Sequence[str]
) -> dict[str, Any]:
    """Draw a scene of one of the geometries in one of the materials."""
    geometry = geometries[int(rng.integers(len(geometries)))]
    material = materials[int(rng.integers(len(materials)))]
    return phantoms.draw_scene(geometry, material, setup, rng)


def simulate_training_pair(
    setup: Setup,
    scene: dict[str, Any] | None,
    smooth: SmoothField,
    field: SpeckleField,
    crop_rng: np.random.Generator,
    noise_rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Simulate one pair by ray optics, an object's displacement and a smooth one added up.

    Parameters
    ----------
    setup : Setup
    scene : dict or None
        See `phantoms.draw_scene`; None for no object.
    smooth : SmoothField
    field : SpeckleField
    crop_rng, noise_rng : numpy.random.Generator

    Returns
    -------
    dict
        reference, sample (H, W) counts, see `detector.expose`; dx, dy (H, W) float32, pixels; valid (H, W)
        float32.
    """
    shape, oversampling = (setup.detector.rows, setup.detector.columns), setup.numerics.oversampling
    extra_px = math.ceil(smooth.farthest_px(*shape))
    thickness_m, margin_px = trace_object(setup, scene or _NOTHING, extra_px)
    lines = refract(setup, thickness_m)
    centred = [(np.arange(n) - 0.5 * (n - 1)) / oversampling for n in lines[0].dx.shape]
    drift = smooth.sample(*centred)
    for line in lines:
        for total, part in zip((line.dx, line.dy), drift, strict=True):
            total += np.float32(oversampling) * part

    (place,) = draw_places(field, lines[0].dx.shape, 1, crop_rng)
    truth = mean_refraction(lines)
    reference = detector.record(setup, cut(field.intensity, place, truth.dx.shape), noise_rng)
    sample = detector.record(setup, refracted_light(field, place, lines), noise_rng, deposited=True)
    labels = {
        name: detector.bin_mean(cells, oversampling, shape) / np.float32(oversampling)
        for name, cells in (("dx", truth.dx), ("dy", truth.dy))
    }
    images = {"reference": reference, "sample": sample}
    valid = valid_mask(setup, truth.dx, truth.dy, margin_px)
    return {**images, **labels, "valid": valid.astype(np.float32)}


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


@dataclass(frozen=True)
class Job:
    """Batch `index` of an epoch, to be simulated; `augmentation` None for pairs as they are."""

    pairs: SimulatedPairs
    seed: int
    epoch: int
    index: int
    pairs_in_batch: int
    augmentation: Augmentation | None

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
    frame = (setup.detector.rows, setup.detector.columns)
    per_field = max(1, setup.numerics.pairs_per_field // job.pairs_in_batch)
    field = _field(setup, job.seed, job.lane, job.number // LANES // per_field)
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
        while len(_fields) > LANES:
            _fields.popitem(last=False)
    return _fields[key]
