"""Size and speed of the compressions of `specksim generate`, for writing and for reading while training.

    python benchmarks/storage.py [FOLDER]

Pairs of the default preset. Times are the best of several runs in this one process, in F: one 1024² FFT round
trip (complex64, one thread). Files are read from the system's cache, as they are from the second epoch on.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft

from specksim import Setup, phantoms, sandpaper, seeds
from specksim.dataset import open_dataset, schema, writer
from specksim.forward import SpecklePair, draw_pair
from specksim.request import Request

PAIRS, RUNS = 48, 5
TRAINING = ("reference", "sample", "dx", "dy", "valid")


def best_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def yardstick_s() -> float:
    wave = np.ones((1024, 1024), np.complex64)
    return best_s(lambda: scipy.fft.ifft2(scipy.fft.fft2(wave), overwrite_x=True))


def simulate(request: Request) -> list[SpecklePair]:
    field = sandpaper.simulate_field(request.setup, seeds.field_rng(0, "training", 0))
    return [
        draw_pair(
            request.setup,
            field,
            material=request.material_of(index),
            geometry=request.geometry_of(index),
            seed=0,
            split="training",
            index=index,
        )
        for index in range(PAIRS)
    ]


def write(path: Path, request: Request, pairs: list[SpecklePair], compression: str) -> None:
    with writer.complete_file(path) as file:
        fields = writer.create_layout(file.hdf5, request, len(pairs), compression)
        rows = [writer.write_images(fields, row, pair) for row, pair in enumerate(pairs)]
        writer.write_parameters(file.hdf5, rows)
        writer.seal(file.hdf5)


def read(path: Path) -> None:
    """One epoch: the fields that training needs, pairs in random order."""
    with open_dataset(path) as dataset:
        for row in np.random.default_rng(0).permutation(len(dataset)):
            for name in TRAINING:
                dataset.read(name, row)


def main(folder: Path) -> None:
    request = Request.create(Setup(), material="mixed", geometries=phantoms.TRAINING)
    start = time.perf_counter()
    pairs = simulate(request)
    unit, simulation = yardstick_s(), time.perf_counter() - start
    print(f"F = {1e3 * unit:.1f} ms; {PAIRS} pairs; simulation {simulation / unit / PAIRS:.2f} F a pair")
    print(f"{'compression':<14}{'MB a pair':>10}{'write, F':>10}{'read, F':>10}")
    for compression in schema.COMPRESSIONS:
        path = folder / f"{compression}.h5"
        writing = best_s(lambda path=path, name=compression: write(path, request, pairs, name))
        reading = best_s(lambda path=path: read(path))
        size = path.stat().st_size / 1e6 / PAIRS
        print(f"{compression:<14}{size:>10.3f}{writing / unit / PAIRS:>10.3f}{reading / unit / PAIRS:>10.3f}")
        path.unlink()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        main(Path(name))
