"""What several hosts cost that train together: processes on this machine stand for them.

    python benchmarks/hosts.py gradients [--steps 12]
    python benchmarks/hosts.py feed

gradients: each of two processes trains on windows of 128 × 128 pixels, four a step, with one thread. A step
of two that share their gradients is compared to one of two that do not, started together: the difference is
gradients, waiting included. feed: one process makes or fetches pairs of 256 × 256 pixels in each way that
there is. With --simulate every host makes all sandpaper fields, and its own part of the pairs. Needs the
extras [jax] and [dask].
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PAIRS, SIDE = 4, 128
FILTERS = (16, 64)
FED, BATCH = 150, 8


def train(filters: int, steps: int, hosts: str, index: int) -> None:
    """Median time of a step, to stdout; `hosts` empty for a process of its own."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    import numpy as np

    from specksim_train import architectures, backend, losses

    host = backend.join(hosts, index) if hosts else backend.ALONE
    with backend.share(1, host):
        keras.utils.set_random_seed(0)
        model = architectures.build("guided-unet", filters)
        model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), loss=losses.training_loss, jit_compile=True)

        class Same(keras.utils.PyDataset):
            def __len__(self) -> int:
                return steps + 2

            def __getitem__(self, _: int) -> tuple[np.ndarray, np.ndarray]:
                rng = np.random.default_rng(index)
                counts = rng.poisson(500, (PAIRS, SIDE, SIDE, 2)).astype(np.float32)
                return counts, np.zeros((PAIRS, SIDE, SIDE, 3), np.float32)

        times: list[float] = []

        class Clock(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
                self.start = time.perf_counter()

            def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
                float(logs["loss"])  # JAX computes on while Python goes ahead
                times.append(time.perf_counter() - self.start)

        model.fit(Same(), epochs=1, verbose=0, callbacks=[Clock()])
    size = 4e-6 * model.count_params()
    print(f"RESULT {statistics.median(times[2:]):.6f} {size:.1f}", flush=True)


def two(filters: int, steps: int, together: bool) -> tuple[float, float]:
    """Median step time of two processes, s, and the gradients' size, MB."""
    with socket.socket() as held:
        held.bind(("localhost", 0))
        port = held.getsockname()[1]
    hosts = f"localhost:{port},localhost:{port + 1}" if together else ""
    environment = {**os.environ, "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--one", str(filters), str(steps), hosts, str(index)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    found = []
    for process in processes:
        output, errors = process.communicate()
        lines = [line for line in output.splitlines() if line.startswith("RESULT")]
        if not lines:
            raise SystemExit(errors)
        found.append([float(word) for word in lines[0].split()[1:]])
    return statistics.mean(step for step, _ in found), found[0][1]


def report_feeds() -> None:
    """What a pair costs the cores of all hosts together, by where it comes from."""
    os.environ["KERAS_BACKEND"] = "jax"
    from distributed import Client, LocalCluster

    from specksim import Setup, generate
    from specksim.request import Request
    from specksim_train.augmentation import Augmentation
    from specksim_train.data import PairFiles
    from specksim_train.feeds import FileFeed
    from specksim_train.simulation import LANES, Job, SimulatedPairs, simulate_batch

    setup, augmentation = Setup.load("imbl-28kev"), Augmentation()
    batches = setup.numerics.pairs_per_field // BATCH  # that share a field
    pairs = SimulatedPairs(Request.create(setup), LANES * batches * BATCH)

    def seconds(batch: Callable[[Job], object], lane: int) -> tuple[float, float]:
        """Of a pair, and of the field of all pairs of a lane."""
        taken = []
        for k in range(batches):
            start = time.perf_counter()
            batch(Job(pairs, 0, 0, lane + k * LANES, BATCH, augmentation))
            taken.append(time.perf_counter() - start)
        usual = statistics.median(taken[1:])
        return usual / BATCH, taken[0] - usual

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):

        def fetch(job: Job) -> object:
            return client.submit(simulate_batch, job).result()

        here, there = [], []
        for lane in range(LANES):  # in turns, since the machine's speed drifts
            here.append(seconds(simulate_batch, lane))
            there.append(seconds(fetch, lane))
    pair, field = (statistics.median(each) for each in zip(*here[1:], strict=True))  # lane 0 compiles
    fetched, _ = (statistics.median(each) for each in zip(*there[1:], strict=True))
    share = field / (batches * BATCH)
    times = {f"--simulate, {count} hosts": pair + count * share for count in (1, 2, 3, 4, 8)}
    times["a Dask worker, with the way here"] = fetched + share
    with tempfile.TemporaryDirectory() as folder:
        path = generate(Path(folder) / "pairs.h5", setup, n=FED, workers=1)
        feed = FileFeed(PairFiles([path]), BATCH, augmentation=augmentation)
        start = time.perf_counter()
        for index in range(len(feed)):
            feed.batch(index)
        times["a file"] = (time.perf_counter() - start) / FED
    print(f"a pair {pair:.4f} s, a field {field:.2f} s, one for {batches * BATCH} pairs")
    print("| from | all cores' time for a pair, ms | against one host that simulates |")
    print("|---|---|---|")
    for name, taken in times.items():
        print(f"| {name} | {1e3 * taken:.1f} | {taken / (pair + share):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("gradients", "feed"), default="gradients")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        filters, steps, hosts, index = options.one
        train(int(filters), int(steps), hosts, int(index))
        return
    if options.what == "feed":
        report_feeds()
        return
    print("| filters | gradients, MB | step alone, s | step together, s | share of communication |")
    print("|---|---|---|---|---|")
    for filters in FILTERS:
        alone, size = two(filters, options.steps, False)
        together, _ = two(filters, options.steps, True)
        print(
            f"| {filters} | {size:.1f} | {alone:.3f} | {together:.3f} | {1 - alone / together:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
