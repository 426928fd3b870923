"""Step time of the training: fed from a file against from memory, and against the same U-Net in PyTorch.

    python benchmarks/training.py [--filters 16] [--filters 64] [--steps 10] [--batch-size 4] [--simulate]

Prints ratios of times taken in turns in one run; absolute times depend on the machine. PyTorch is compared
where it can be imported. Pairs simulated on the fly are timed twice: with a worker that shares the cores with
the training, and taken from workers that have finished them before, as they do where cores are spare.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from specksim import Setup, generate
from specksim.request import Request
from specksim_train import architectures, backend, losses
from specksim_train.augmentation import Augmentation
from specksim_train.data import PairFiles
from specksim_train.feeds import Feed, FileFeed, Simulator
from specksim_train.simulation import SimulatedPairs

ROUNDS = 5


class MemoryFeed(Feed):
    """The batches of another feed, kept."""

    def __init__(self, feed: Feed, steps: int) -> None:
        super().__init__()
        self.batches = [feed.batch(k) for k in range(steps)]

    def __len__(self) -> int:
        return len(self.batches)

    def batch(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.batches[index]


def compiled(model: keras.Model, targets: int = 3) -> keras.Model:
    """A model ready to be trained, as `fit` does it."""
    loss = losses.endpoint_loss if targets == 3 else "mse"
    model.compile(keras.optimizers.Adam(1e-4), loss=loss, jit_compile=backend.should_compile())
    return model


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turns(
    runs: dict[str, Callable[[], object]], before: dict[str, Callable[[], object]] | None = None
) -> dict[str, float]:
    """Median time of each, s, taken in turns, after a round that does not count.

    What is to be done `before` is not timed.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(ROUNDS + 1):
        for name, run in runs.items():
            (before or {}).get(name, int)()
            taken = seconds(run)
            if round_:
                times[name].append(taken)
    return {name: statistics.median(values) for name, values in times.items()}


def compare_feeds(filters: int, steps: int, batch_size: int, simulate: bool) -> None:
    """File against memory, and pairs simulated on the fly against memory."""
    setup = Setup.load("imbl-28kev")
    with tempfile.TemporaryDirectory() as folder:
        path = generate(Path(folder) / "pairs.h5", setup, n=steps * batch_size)
        fed = FileFeed(PairFiles([path]), batch_size, augmentation=Augmentation())
        memory = MemoryFeed(fed, steps)
        reading = statistics.median(seconds(lambda k=k: fed.batch(k)) for k in range(steps))
        print(f"reading and varying a batch of {batch_size} pairs: {1e3 * reading:.1f} ms")
        model = compiled(architectures.build("guided-unet", filters))

        def epoch(feed: Feed) -> Callable[[], object]:
            return lambda: model.fit(feed, verbose=0, shuffle=False)

        runs = {"memory": epoch(memory), "file": epoch(fed)}
        if not simulate:
            report_feeds(in_turns(runs), filters, steps)
            return
        with Simulator(simulated(setup, steps * batch_size, workers=1), seed=0) as simulator:
            runs["a worker that simulates"] = epoch(simulator.feed(0, batch_size, Augmentation()))
            with Simulator(simulated(setup, steps * batch_size, workers=steps), seed=0) as spare:
                ready = spare.feed(0, batch_size, Augmentation())

                def finish() -> None:
                    ready.batch(0)
                    for coming in list(ready._coming.values()):
                        coming.result()

                name = "workers that have simulated it"
                runs[name] = epoch(ready)
                report_feeds(in_turns(runs, {name: finish}), filters, steps)


def simulated(setup: Setup, pairs: int, workers: int) -> SimulatedPairs:
    return SimulatedPairs(Request.create(setup), pairs, workers)


def report_feeds(times: dict[str, float], filters: int, steps: int) -> None:
    for name in [name for name in times if name != "memory"]:
        ratio = times[name] / times["memory"]
        print(
            f"guided-unet, {filters} filters: step fed from {name} / from memory = {ratio:.3f} "
            f"({times[name] / steps:.3f} s / {times['memory'] / steps:.3f} s)"
        )


def compare_torch(filters: int, steps: int, batch_size: int) -> None:
    """The published U-Net, a training step of Keras against one of PyTorch in channels_last."""
    try:
        import torch
    except ImportError:
        print(f"U-Net, {filters} filters: PyTorch cannot be imported, not compared")
        return
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch_size, 256, 256, 2)).astype(np.float32)
    target = rng.standard_normal((batch_size, 256, 256, 2)).astype(np.float32)
    model = compiled(architectures.build_unet(base_filters=filters), targets=2)
    network = torch_unet(torch, filters).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    x, y = (
        torch.from_numpy(maps).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for maps in (images, target)
    )

    def torch_steps() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(network(x), y).backward()
            optimizer.step()

    def keras_steps() -> None:
        for _ in range(steps):
            model.train_on_batch(images, target)

    count = sum(weight.numel() for weight in network.parameters())
    if count != model.count_params():
        raise RuntimeError(f"the networks differ: {count} and {model.count_params()} parameters")
    times = in_turns({"keras": keras_steps, "torch": torch_steps})
    keras_step, torch_step = times["keras"] / steps, times["torch"] / steps
    print(
        f"U-Net, {filters} filters: step of {keras.backend.backend()} / of PyTorch = "
        f"{keras_step / torch_step:.3f} ({keras_step:.3f} s / {torch_step:.3f} s)"
    )


def torch_unet(torch, filters: int):  # type: ignore[no-untyped-def]
    """`build_unet` in PyTorch."""
    nn = torch.nn

    def block(before: int, after: int):  # type: ignore[no-untyped-def]
        return nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [filters * 2**level for level in range(5)]
            self.down = nn.ModuleList(block(a, b) for a, b in zip([2, *widths[:-1]], widths, strict=True))
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[3::-1])
            self.after = nn.ModuleList(block(2 * w, w) for w in widths[3::-1])
            self.out = nn.Conv2d(filters, 2, 1)

        def forward(self, x):  # type: ignore[no-untyped-def]
            skips = []
            for level, down in enumerate(self.down):
                x = down(x if level == 0 else nn.functional.max_pool2d(x, 2))
                skips.append(x)
            for up, after, skip in zip(self.up, self.after, skips[3::-1], strict=True):
                x = after(torch.cat([up(x), skip], dim=1))
            return self.out(x)

    return UNet()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--filters", type=int, action="append")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--simulate", action="store_true", help="also time pairs simulated on the fly")
    options = parser.parse_args()
    for filters in options.filters or [16, 64]:
        compare_feeds(filters, options.steps, options.batch_size, options.simulate)
        compare_torch(filters, options.steps, options.batch_size)


if __name__ == "__main__":
    main()
