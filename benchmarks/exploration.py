"""What pays per second of training: variants of the networks, trained alike on the same simulated pairs.

    python benchmarks/exploration.py [VARIANT ...] [--steps 800] [--seed 0] [--folder FOLDER]

Every variant sees the same batches (8 windows of 128 × 128 pixels out of pairs of `imbl-28kev`, three
materials), the same Adam and the same cosine. Printed: endpoint errors on 64 held-out pairs of other
sandpapers and other objects, slope and scatter on constant shifts of 0.2 to 2 px, the error on pairs without
motion, and the time of a step as a ratio to that of `guided`, taken in turns. The data are kept in FOLDER.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers, ops

from specksim import Setup
from specksim.drift import Drift
from specksim.forward import simulate_pair
from specksim.request import Request
from specksim.sandpaper import simulate_field
from specksim_train import architectures, backend, losses
from specksim_train.augmentation import NONE, Augmentation, augment
from specksim_train.data import Batch, stack
from specksim_train.feeds import Simulator
from specksim_train.layers import Channels, IteratedShift, LocalNormalization, PullBack, WindowedShifts
from specksim_train.runs import cosine_rate
from specksim_train.simulation import SimulatedPairs, plain_pair

SETUP = "imbl-28kev"
CROP, BATCH, FILTERS = 128, 8, 16
VARIED = Augmentation(drift_share=0.0)
DRIFTING = Augmentation()  # what files are given: drifts of whole pixels
SHIFTS_PX = (0.2, 0.5, 1.0, 2.0)


# --- networks --------------------------------------------------------------------------------------------


def guided(
    rounds_px: tuple[float, ...] = (8.0, 8.0, 8.0, 3.0),
    windows_px: tuple[float, ...] = (1.5, 3.0, 8.0),
    pull: bool = True,
    residual: bool = True,
    local: bool = True,
) -> keras.Model:
    """What `build_guided_unet` makes of the displacement, with parts left out or changed."""
    counts = keras.Input((None, None, 2))
    pair = LocalNormalization()(counts) if local else counts / ops.mean(counts, axis=(1, 2), keepdims=True)
    coarse = IteratedShift(rounds_px)(pair)
    seen = PullBack()([pair, coarse]) if pull else pair
    found = WindowedShifts(windows_px)(seen)
    features = [Channels(0, 2, offset=-1.0)(seen), Channels(0, 2)(coarse)]
    for k in range(len(windows_px)):
        features += [
            Channels(3 * k, 3 * k + 2, scale=4.0)(found),
            Channels(3 * k + 2, 3 * k + 3, offset=-1.0)(found),
        ]
    together = layers.Concatenate()(features)
    correction = architectures.build_unet((None, None, together.shape[-1]), base_filters=FILTERS)
    if not residual:
        return keras.Model(counts, correction(together))
    last = correction.get_layer("output")
    last.set_weights([np.zeros_like(weight) for weight in last.get_weights()])
    return keras.Model(counts, layers.Add()([coarse, correction(together)]))


def huber(target: Any, prediction: Any) -> Any:
    """Huber's loss of the error's length, with its corner at 0.05 px."""
    length = losses.endpoint_loss(target, prediction)
    return ops.where(length < 0.05, 10.0 * length * length, length - 0.025)


def weighted(rim: float) -> Callable[[Any, Any], Any]:
    """Endpoint error whose pixels outside of `valid` count `rim` times."""

    def loss(target: Any, prediction: Any) -> Any:
        return losses.endpoint_loss(target, prediction) * (rim + (1 - rim) * target[..., 2])

    return loss


VARIANTS: dict[str, tuple[Callable[[], keras.Model], Any, str]] = {
    # name: (network, loss, pairs)
    "guided": (guided, losses.endpoint_loss, "smooth"),
    "guided, objects in empty frames alone": (guided, losses.endpoint_loss, "objects"),
    "plain": (
        lambda: architectures.build_plain_unet(base_filters=FILTERS),
        losses.endpoint_loss,
        "smooth",
    ),
    "rounds of 8, 8, 8 px": (lambda: guided((8.0, 8.0, 8.0)), losses.endpoint_loss, "smooth"),
    "rounds of 8, 8, 4, 2 px": (lambda: guided((8.0, 8.0, 4.0, 2.0)), losses.endpoint_loss, "smooth"),
    "rounds of 8, 8, 3 px": (lambda: guided((8.0, 8.0, 3.0)), losses.endpoint_loss, "smooth"),
    "rounds of 8, 8, 8, 4, 2 px": (lambda: guided((8.0, 8.0, 8.0, 4.0, 2.0)), losses.endpoint_loss, "smooth"),
    "without pulling back": (lambda: guided(pull=False), losses.endpoint_loss, "smooth"),
    "without residual": (lambda: guided(residual=False), losses.endpoint_loss, "smooth"),
    "windows 1.5 and 4 px": (lambda: guided(windows_px=(1.5, 4.0)), losses.endpoint_loss, "smooth"),
    "Huber": (guided, huber, "smooth"),
    "rim counts a third": (guided, weighted(1 / 3), "smooth"),
    "rim counts three times": (guided, weighted(3.0), "smooth"),
    "global normalisation": (lambda: guided(local=False), losses.endpoint_loss, "smooth"),
}


# --- data ------------------------------------------------------------------------------------------------


def simulated(folder: Path, name: str, seed: int, count: int, drift: float) -> Batch:
    """Pairs simulated once and kept."""
    path = folder / f"{name}-{count}.npz"
    if not path.exists():
        per_batch = 25
        request = Request.create(Setup.load(SETUP), material="mixed", drift=drift)
        pairs = SimulatedPairs(request, count, os.cpu_count() or 1)
        with Simulator(pairs, seed) as simulator:
            feed = simulator.feed(0, per_batch, NONE)
            images, targets = zip(*(feed.batch(k) for k in range(len(feed))), strict=True)
        np.savez(path, images=np.concatenate(images)[:count], targets=np.concatenate(targets)[:count])
    with np.load(path) as stored:
        return stored["images"], stored["targets"]


def shifted(size_px: float, seed: int) -> Batch:
    """Pairs without object whose sandpaper has drifted by `size_px` in four directions."""
    setup = Setup.load(SETUP)
    rng = np.random.default_rng(seed)
    field = simulate_field(setup, rng)
    pairs = []
    for angle in rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2:
        drift = Drift(constant_px=(size_px * np.cos(angle), size_px * np.sin(angle)))
        scene = {"geometry": "empty", "material": "nylon", "drift": drift.to_json()}
        pairs.append(plain_pair(simulate_pair(setup, scene, field, rng, rng)))
    return stack(pairs)


def batch(data: Batch, step: int, augmentation: Augmentation, seed: int = 0) -> Batch:
    """Windows of the pairs drawn for a step."""
    rng = np.random.default_rng([seed, step])
    images, targets = data
    pairs = []
    for number in rng.integers(len(images), size=BATCH):
        pair = {
            "reference": images[number, ..., 0].astype(np.int64),
            "sample": images[number, ..., 1].astype(np.int64),
            **{name: targets[number, ..., k] for k, name in enumerate(("dx", "dy", "valid"))},
        }
        pairs.append(augment(pair, (CROP, CROP), augmentation, rng))
    return stack(pairs)


# --- training and judging --------------------------------------------------------------------------------


def compiled(name: str, seed: int = 0) -> keras.Model:
    """A variant, ready to be trained."""
    keras.utils.set_random_seed(seed)
    network, loss, _ = VARIANTS[name]
    model = network()
    optimizer = keras.optimizers.Adam(1e-3, clipnorm=1.0)
    model.compile(optimizer, loss=loss, jit_compile=backend.should_compile())
    return model


def train(name: str, data: dict[str, Batch], steps: int, seed: int) -> keras.Model:
    """A variant, trained."""
    model = compiled(name, seed)
    kind = VARIANTS[name][2]
    augmentation = DRIFTING if kind == "objects" else VARIED
    for step in range(steps):
        model.optimizer.learning_rate = cosine_rate(1e-3, step, steps)
        model.train_on_batch(*batch(data[kind], step, augmentation, seed))
    return model


def judge(model: keras.Model, held_out: Batch, still: Batch) -> list[float]:
    """Endpoint error on all and on valid pixels, R², slope and scatter on shifts, error without motion."""

    def error(images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fours = [model.predict_on_batch(images[k : k + 4]) for k in range(0, len(images), 4)]
        found = np.concatenate(fours)[..., :2]  # the plain U-Net estimates its errors, too
        return found, np.hypot(*np.moveaxis(found - targets[..., :2], -1, 0))

    images, targets = held_out
    _, length = error(images, targets)
    power = np.sum(targets[..., :2] ** 2)
    slopes, scatter = [], []
    for k, size_px in enumerate(SHIFTS_PX):
        moved, truth = shifted(size_px, 100 + k)
        found, _ = error(moved, truth)
        inside = (slice(None), slice(16, -16), slice(16, -16))
        along = (found[inside] * truth[inside][..., :2]).sum(axis=-1) / size_px**2
        slopes.append(float(along.mean()))
        scatter.append(float((found[inside] - found[inside].mean(axis=(1, 2), keepdims=True)).std()))
    return [
        float(length.mean()),
        float(length[targets[..., 2] > 0].mean()),
        1 - float(np.sum(length**2) / power),
        *slopes,
        max(scatter),
        float(error(*still)[1].mean()),
    ]


def step_times(names: list[str], data: Batch) -> dict[str, float]:
    """Time of a training step of each, taken in turns, as a ratio to that of `guided`."""
    models = {name: compiled(name) for name in {"guided": None, **dict.fromkeys(names)}}
    images, targets = batch(data, 0, VARIED)
    times: dict[str, list[float]] = {name: [] for name in models}
    for round_ in range(8):
        for name, model in models.items():
            start = time.perf_counter()
            model.train_on_batch(images, targets)
            if round_ > 1:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[name]) / statistics.median(times["guided"]) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"of: {'; '.join(VARIANTS)}")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches: how much is chance?")
    parser.add_argument("--pairs", type=int, default=1200)
    parser.add_argument("--folder", type=Path, default=Path("exploration"))
    options = parser.parse_args()
    names = options.variants or list(VARIANTS)
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        parser.error(f"unknown variant {unknown[0]!r}; known: {'; '.join(VARIANTS)}")
    options.folder.mkdir(exist_ok=True)
    data = {
        kind: simulated(options.folder, kind, 1, options.pairs, share)
        for kind, share in (("smooth", 0.5), ("objects", 0.0))
        if any(VARIANTS[name][2] == kind for name in names)
    }
    held_out = simulated(options.folder, "held-out", 2, 64, 0.0)
    still = shifted(0.0, 99)
    ratio = step_times(names, next(iter(data.values())))
    slopes = " | ".join(f"slope {size:g} px" for size in SHIFTS_PX)
    print(f"| variant | step | all, px | valid, px | R² | {slopes} | scatter, px | no motion, px |")
    print(f"|---{'|---' * (7 + len(SHIFTS_PX))}|")
    for name in names:
        figures = judge(train(name, data, options.steps, options.seed), held_out, still)
        print(
            f"| {name} | {ratio[name]:.2f} | {figures[0]:.4f} | {figures[1]:.4f} | {figures[2]:.3f} | "
            + " | ".join(f"{value:.3f}" for value in figures[3 : 3 + len(SHIFTS_PX)])
            + f" | {figures[-2]:.4f} | {figures[-1]:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
