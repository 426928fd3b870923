"""Prediction by the compact networks: time of a 256² pair in FFT round trips, memory of a 2048² pair.

    python benchmarks/prediction.py

F is one round trip of `scipy.fft` over 1024² complex64, one thread, timed in turns with the predictions,
which use all cores. Memory is the peak of a process that loads a network and predicts one pair.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import scipy.fft

ROUNDS = 15
MEMORY = """
import resource, sys
import numpy as np
from specksim_train import load
images = np.random.default_rng(0).poisson(2000, (2, 2048, 2048)).astype(np.uint16)
load(sys.argv[1]).predict(*images)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


def medians(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median time of each, s, taken in turns, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(ROUNDS + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    from specksim_train import architectures, load

    counts = np.random.default_rng(0).poisson(2000, (2, 256, 256)).astype(np.float32)
    images = np.moveaxis(counts, 0, -1)[None]
    wave = np.ones((1024, 1024), np.complex64)
    with tempfile.TemporaryDirectory() as folder:
        runs = {"F": lambda: scipy.fft.ifft2(scipy.fft.fft2(wave))}
        for name in architectures.ARCHITECTURES:
            path = Path(folder) / f"{name}.keras"
            architectures.build(name, 16).save(path)
            network = load(path)
            runs[f"{name}, the network alone"] = lambda run=network._run: run(images)
            runs[f"{name}, predict: drift, flux, network, quality"] = lambda run=network.predict: run(*counts)
        import warnings

        warnings.simplefilter("ignore")  # noise shares no pattern with noise
        times = medians(runs)
        print(f"F = {1e3 * times['F']:.1f} ms; 16 filters, one pair of 256², {os.cpu_count()} cores")
        for name in runs:
            if name != "F":
                print(f"{name}: {times[name] / times['F']:.2f} F")
        for name in architectures.ARCHITECTURES:
            command = [sys.executable, "-W", "ignore", "-c", MEMORY, str(Path(folder) / f"{name}.keras")]
            peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(f"{name}, one pair of 2048²: peak memory {float(peak):.2f} GB")


if __name__ == "__main__":
    main()
