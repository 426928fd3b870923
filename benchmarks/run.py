"""The budgets: our time, the yardstick's in the same run, their ratio, what is allowed.

    python benchmarks/run.py [--quick] [--plot FILE.png]

F is one `scipy.fft` round trip of 1024², complex64, one thread. What runs in this process is measured by
its CPU time, the best of several runs taken in turns with its yardstick, so that other work on the machine
matters little; commands and the disk are measured by the clock. `--quick` leaves out the commands. `--plot`
draws the time of a pair over the size of its frame. The rows of the networks need Keras.
"""

# ruff: noqa: E402

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

for threads in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests.plain_model

import numpy as np
import scipy.fft
from processes import run_python

from specksim import Setup, detector, phantoms, seeds
from specksim.dataset import open_dataset, writer
from specksim.forward import SpecklePair, draw_pair, simulate_pair
from specksim.memory import keep_freed_memory
from specksim.request import Request
from specksim.retrieval import umpa
from specksim.sandpaper import SpeckleField, cut, draw_places, simulate_field
from specksim.tracing import trace_object
from tests import plain_model

PAIRS, SIZES = 8, (128, 256, 512, 1024, 2048)


class Row(NamedTuple):
    """A line of the table: seconds, or whatever `unit` says; `limit` is on ours over the yardstick's."""

    what: str
    ours: float
    yardstick: str
    theirs: float
    limit: float
    at_least: bool = False
    unit: str = "s"

    def __str__(self) -> str:
        ratio = self.ours / self.theirs
        good = ratio >= self.limit if self.at_least else ratio <= self.limit
        budget = f"{'≥' if self.at_least else '≤'} {self.limit:g}"
        cells = f"{self.what:<52}{self.ours:>10.4g} {self.unit:<9}{self.yardstick:<22}{self.theirs:>10.4g}"
        return f"{cells}{ratio:>9.3g}{budget:>9}  {'yes' if good else 'NO'}"


def in_turns(runs: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Least CPU time of each, s, taken in turns after a round that does not count."""
    least = dict.fromkeys(runs, float("inf"))
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number:
                least[name] = min(least[name], time.process_time() - start)
    return least


def round_trip(side: int) -> Callable[[], object]:
    wave = np.ones((side, side), np.complex64)
    return lambda: scipy.fft.ifft2(scipy.fft.fft2(wave), overwrite_x=True)


def draw(setup: Setup, field: SpeckleField, index: int, **options: str) -> SpecklePair:
    values = {"material": "nylon", "geometry": phantoms.TRAINING[index % 4], "seed": 0, "split": "training"}
    return draw_pair(setup, field, index=index, **{**values, **options})


def pairs(setup: Setup, field: SpeckleField, folder: Path) -> Iterator[Row]:
    """Pairs by rays and by waves, and the field."""
    with writer.complete_file(folder / "pairs.h5") as file:
        fields = writer.create_layout(file.hdf5, Request.create(setup), PAIRS, "none")

        def rays() -> None:
            for index in range(PAIRS):
                writer.write_images(fields, index, draw(setup, field, index))

        times = in_turns({"F": round_trip(1024), "rays": rays})
        rows = [writer.write_images(fields, k, draw(setup, field, k)) for k in range(PAIRS)]
        writer.write_parameters(file.hdf5, rows)
        writer.seal(file.hdf5)
    alone = in_turns(
        {"F": round_trip(1024), "field": lambda: simulate_field(setup, np.random.default_rng(0))}, 3
    )
    pair, share = times["rays"] / PAIRS, alone["field"] / setup.numerics.pairs_per_field
    yield Row("one pair, rays, 256², all included but the field", pair, "F", times["F"], 1.0)
    share *= times["F"] / alone["F"]
    yield Row("… with its share of the field", pair + share, "F", times["F"], 2.0)
    waves = in_turns(
        {
            "F": round_trip(2048),
            "waves": lambda: [draw(setup, field, k, propagation="waves") for k in range(4)],
        },
        3,
    )
    yield Row("one pair, waves", waves["waves"] / 4, "round trip of 2048²", waves["F"], 4.0)


def peers(setup: Setup, field: SpeckleField) -> Iterator[Row]:
    """The same scenes by the plain NumPy model, and warped by `scipy.ndimage.map_coordinates`."""
    n = setup.numerics.oversampling
    taps = [detector.blur_taps(setup.blur_px, n, deposited) for deposited in (True, False)]
    for geometry in phantoms.TRAINING[:3]:
        scene = phantoms.draw_scene(geometry, "nylon", setup, np.random.default_rng(1))
        _, margin_px = trace_object(setup, scene)
        side = (setup.detector.rows + 2 * margin_px) * n
        (place,) = draw_places(field, (side, side), 1, np.random.default_rng(1))
        speckle = cut(field.intensity, place, (side, side))
        still = np.zeros_like(speckle)

        def ours(scene=scene) -> object:
            return simulate_pair(setup, scene, field, np.random.default_rng(1), np.random.default_rng(2))

        def plain(scene=scene, speckle=speckle, margin_px=margin_px) -> object:
            return plain_model.simulate(setup, scene, speckle, margin_px, taps, np.random.default_rng(2))

        def warp(speckle=speckle, still=still) -> object:
            return plain_model.warp(speckle, still, still)

        times = in_turns({"ours": ours, "plain": plain, "warp": warp}, 2)
        yield Row(f"plain NumPy model, {geometry}", times["plain"], "our pair", times["ours"], 10.0, True)
        yield Row(
            f"map_coordinates on the ray grid, {geometry}",
            times["warp"],
            "our pair",
            times["ours"],
            1.0,
            True,
        )


def commands(folder: Path) -> Iterator[Row]:
    generate = ("specksim", "generate", "--material", "nylon", "--n", "150", "--overwrite", "-o")
    target = str(folder / "nylon.h5")
    cold = run_python(*generate, target, NUMBA_CACHE_DIR=str(folder / "cache")).wall
    run_python("specksim", "generate", "--n", "4", "--overwrite", "-o", target)
    warm = [run_python(*generate, target) for _ in range(2)]
    yield Row("generate --material nylon --n 150, warm", min(run.wall for run in warm), "second", 1.0, 8.0)
    yield Row("… first run ever, compilation included", cold, "second", 1.0, 30.0)
    peak = max(run.peak_gb for run in warm)
    yield Row("… peak memory of its largest process", peak, "GB", 1.0, 1.0, unit="GB")
    for name in ("specksim", "specksim_train"):
        least = min(run_python(name, "--help").wall for _ in range(5))
        yield Row(f"{name} --help", least, "second", 1.0, 0.3)


def storage(setup: Setup, folder: Path) -> Iterator[Row]:
    """Writing against the disk's own speed, reading from the system's cache."""
    with open_dataset(folder / "pairs.h5") as dataset:
        stored = [dataset[row] for row in range(len(dataset))]
    request, count = Request.create(setup), 100
    megabytes, plain, ours = 0.0, float("inf"), float("inf")
    for _ in range(3):
        start = time.perf_counter()
        with writer.complete_file(folder / "many.h5") as file:
            fields = writer.create_layout(file.hdf5, request, count, "none")
            rows = [writer.write_images(fields, k, stored[k % PAIRS]) for k in range(count)]
            writer.write_parameters(file.hdf5, rows)
            writer.seal(file.hdf5)
        ours = min(ours, time.perf_counter() - start)
        block = np.random.default_rng(0).bytes((folder / "many.h5").stat().st_size // count)
        start = time.perf_counter()
        with (folder / "plain").open("wb") as plain_file:
            for _ in range(count):
                plain_file.write(block)
            plain_file.flush()
            os.fsync(plain_file.fileno())
        plain, megabytes = min(plain, time.perf_counter() - start), count * len(block) / 1e6
    yield Row("writing a data set", megabytes / ours, "plain file", megabytes / plain, 0.5, True, "MB/s")

    def read() -> None:
        with open_dataset(folder / "many.h5") as dataset:
            for row in np.random.default_rng(0).permutation(count):
                for name in ("reference", "sample", "dx", "dy"):
                    dataset.read(name, row)

    seconds = in_turns({"read": read}, 3)["read"]
    yield Row(
        "reading frames at random, cached", 4 * count / seconds, "frame/s", 1.0, 2000.0, True, "frames/s"
    )


def trackers(setup: Setup, field: SpeckleField) -> Iterator[Row]:
    pair = draw(setup, field, 0)
    times = in_turns(
        {
            "F": round_trip(1024),
            "umpa": lambda: umpa(pair.reference, pair.sample, window=13, max_shift=4),
        },
        3,
    )
    yield Row("UMPA, 256², window 13, max shift 4, one thread", times["umpa"], "F", times["F"], 11.0)


def pair_seconds(side: int) -> float:
    """Seconds of a pair by rays of a square frame, spheres, in front of a random field."""
    setup = Setup().with_values(detector__rows=side, detector__columns=side)
    shape = ((side + 32) * setup.numerics.oversampling,) * 2
    field = SpeckleField(np.random.default_rng(0).gamma(4, 0.25, shape).astype(np.float32), 1.0)
    scene = phantoms.draw_scene("sphere", "nylon", setup, seeds.pair_rngs(0, "training", 0)[0])
    rngs = np.random.default_rng(1), np.random.default_rng(2)
    return in_turns({"pair": lambda: simulate_pair(setup, scene, field, *rngs)}, 2)["pair"]


def scaling(plot: Path | None) -> float:
    """Slope of log time over log pixels."""
    seconds = [pair_seconds(side) for side in SIZES]
    pixels = [side**2 for side in SIZES]
    slope = np.polyfit(np.log(pixels), np.log(seconds), 1)[0]
    if plot is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.loglog(SIZES, seconds, "o-", label=f"one pair by rays, t ∝ pixels^{slope:.2f}")
        axes.loglog(
            SIZES, [seconds[1] * p / pixels[1] for p in pixels], ":", color="gray", label="t ∝ pixels"
        )
        axes.set(xlabel="side of the frame, pixels", ylabel="CPU time, s", xticks=SIZES, xticklabels=SIZES)
        axes.minorticks_off()
        axes.legend(frameon=False)
        figure.savefig(plot, dpi=120)
    print("  ".join(f"{side}²: {1e3 * value:.0f} ms" for side, value in zip(SIZES, seconds, strict=True)))
    return float(slope)


def networks() -> None:
    """What the networks' own benchmarks print."""
    folder = Path(__file__).parent
    if importlib.util.find_spec("keras") is None:
        print("networks: Keras is not installed (pip install 'specksim[train]'); their rows are left out")
        return
    for name, *words in (("prediction.py",), ("training.py", "--filters", "16")):  # with 64 it takes an hour
        print(f"\n{name}", flush=True)
        subprocess.run([sys.executable, folder / name, *words], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    setup = Setup()
    field = simulate_field(setup, seeds.field_rng(0, "training", 0), waves=True)
    print(f"load when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'what':<52}{'ours':>10} {'':<9}{'yardstick':<22}{'its':>10}{'ratio':>9}{'budget':>9}  within")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in (
            pairs(setup, field, folder),
            peers(setup, field),
            trackers(setup, field),
            storage(setup, folder),
        ):
            for row in rows:
                print(row, flush=True)
        print(Row("scaling, 128² to 2048²: log-log slope", scaling(options.plot), "1", 1.0, 1.1, unit=""))
        if not options.quick:
            for row in commands(folder):
                print(row, flush=True)
            networks()


if __name__ == "__main__":
    main()
