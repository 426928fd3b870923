"""What communication costs when several hosts train together: two processes on this machine stand for them.

    python benchmarks/hosts.py [--steps 12]

Each process trains on windows of 128 × 128 pixels, four a step, with one thread. A step of two processes that
share their gradients is compared to one of two that do not, started together: the difference is gradients,
waiting included. Needs the extra [jax].
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

PAIRS, SIDE = 4, 128
FILTERS = (16, 64)


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

            def on_train_batch_end(self, batch: int, logs: object = None) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        filters, steps, hosts, index = options.one
        train(int(filters), int(steps), hosts, int(index))
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
