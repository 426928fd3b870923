"""The trackers: bias, accuracy against the Cramér–Rao bound, speed and memory.

    python benchmarks/trackers.py bias
    python benchmarks/trackers.py accuracy --plot docs/trackers.png
    python benchmarks/trackers.py phase
    python benchmarks/trackers.py speed          # beside algotom and scikit-image where they are installed

Times are processor times, the best of several runs in one process, in F: one 1024² FFT round trip
(complex64, one thread).
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.ndimage

from specksim import Setup, detector, seeds
from specksim.assessment import displacement_bound_px
from specksim.benchmark.memory import resident_megabytes
from specksim.forward import SpecklePair, draw_pair
from specksim.optics import rays
from specksim.retrieval import Retrieval, lcs, mist, retrieve, speckle_tie, umpa, xst
from specksim.retrieval.integration import radians_per_pixel
from specksim.retrieval.matching import match_windows
from specksim.retrieval.tracking import prepare
from specksim.retrieval.windows import window_taps
from specksim.sandpaper import SpeckleField, cut, draw_places, simulate_field

TRACKERS = {"umpa": umpa, "umpa, dark field": partial(umpa, dark_field=True), "xst": xst, "lcs": lcs}
SCENES = (("sphere", 0), ("fiber", 1), ("spheres-in-fiber", 2), ("spheres-in-block", 3))
WINDOWS = (5, 7, 9, 13, 17, 25, 35)
EXPOSURES = (1, 4, 10, 20)
MARGIN_PX = 16


def best_s(
    work: Callable[[], object], runs: int = 5, clock: Callable[[], float] = time.process_time
) -> float:
    """Shortest of several runs, s, after one that is not counted; time of this process alone."""
    work()
    times = []
    for _ in range(runs):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def moved_pair(
    setup: Setup,
    field: SpeckleField,
    displacement: Callable[..., tuple[np.ndarray, np.ndarray]],
    steps: int = 1,
) -> tuple[np.ndarray, ...]:
    """References and samples of a displacement in closed form, nothing absorbed; its pixel means dx, dy."""
    n, side = setup.numerics.oversampling, setup.detector.rows
    place = (np.arange((side + 2 * MARGIN_PX) * n) + 0.5) / n - MARGIN_PX - side / 2
    y, x = np.meshgrid(place, place, indexing="ij")
    dx, dy = (np.broadcast_to(part, y.shape).astype(np.float32) for part in displacement(y, x))
    rng = np.random.default_rng(0)
    speckles = [cut(field.intensity, place, y.shape) for place in draw_places(field, y.shape, steps, rng)]
    references = np.stack([detector.record(setup, speckle, rng) for speckle in speckles])
    moved = [rays.deposit(speckle, n * dx, n * dy) for speckle in speckles]
    samples = np.stack([detector.record(setup, light, rng, deposited=True) for light in moved])
    means = (detector.bin_mean(np.ascontiguousarray(cells), n, (side, side)) for cells in (dx, dy))
    return references, samples, *means


def report_bias() -> None:
    """Errors on noise-free images of the default preset: identical, shifted, smoothly displaced."""
    setup = Setup().with_values(detector__photons_per_pixel=float("inf"))
    field = simulate_field(setup, seeds.field_rng(0, "evaluation", 0))
    k = 2 * np.pi / 240
    cases: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
        f"shift {shift:g} px": lambda y, x, shift=shift: (np.full_like(x, shift), np.zeros_like(x))
        for shift in (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    }
    cases["waves, 0.8 px"] = lambda y, x: (0.8 * np.sin(k * (x + 0.5 * y)), 0.5 * np.cos(k * (y - 0.3 * x)))
    print(f"{'':<18}{'bias':>30}{'RMS error':>38}{'slope':>30}")
    names = ("parabola", *TRACKERS)
    print(f"{'':<18}" + "  ".join(f"{name[:9]:>9}" for name in 3 * names))
    for case, displacement in cases.items():
        reference, sample, dx, _ = moved_pair(setup, field, displacement)
        if not dx.any():
            sample = reference
        images = prepare(reference, sample, "bias")
        taps = window_taps(13, "hamming")
        shift, good = match_windows(images.reference, images.sample, taps, 4, zero_mean=False)
        found = {"parabola": (shift[0], good)}
        for name, track in TRACKERS.items():
            result = track(reference, sample, window=13)
            found[name] = result.dx, result.quality > 0.5
        errors = [(values - dx)[where] for values, where in found.values()]
        slopes = [
            np.polyfit(dx[where], values[where], 1)[0] if np.ptp(dx) > 0.1 else np.nan
            for values, where in found.values()
        ]
        figures = [*(f"{np.mean(e):.1e}" for e in errors), *(f"{np.std(e):.1e}" for e in errors)]
        figures += [f"{slope:.4f}" for slope in slopes]
        print(f"{case:<18}" + "  ".join(f"{figure:>9}" for figure in figures))


@dataclass(frozen=True)
class Scene:
    """A pair with 20 exposures, and its first reference without noise, counts."""

    pair: SpecklePair
    clean: np.ndarray


def scenes(setup: Setup) -> list[Scene]:
    field = simulate_field(setup, seeds.field_rng(0, "evaluation", 0))
    quiet = setup.with_values(detector__photons_per_pixel=float("inf"))
    options = {"material": "nylon", "seed": 0, "split": "evaluation"}
    found = []
    for geometry, index in SCENES:
        pair = draw_pair(setup, field, geometry=geometry, index=index, steps=max(EXPOSURES), **options)
        clean = draw_pair(quiet, field, geometry=geometry, index=index, steps=1, **options).reference[0]
        found.append(Scene(pair, setup.detector.photons_per_pixel * clean))
    return found


def bound_px(setup: Setup, scene: Scene, window: int, exposures: int) -> float:
    """Cramér–Rao bound of the mean endpoint error for one displacement in a Hamming window, t near 1."""
    least = displacement_bound_px(scene.clean, 1, setup.detector.photons_per_pixel)
    pixels = exposures / (window_taps(window, "hamming").astype(float) ** 2).sum() ** 2
    return float(np.sqrt(np.mean(np.square(least)) / pixels * np.pi / 2))


def report_accuracy(plot: Path | None) -> None:
    """Mean endpoint error on valid pixels against the window, for 1 to 20 exposures, and its bound.

    Methods are compared, each at its best window, by `specksim benchmark`.
    """
    setup = Setup()
    tested = scenes(setup)
    methods = {"umpa": umpa, "lcs": lcs}
    errors: dict[tuple[str, int], list[float]] = {}
    bounds: dict[int, list[float]] = {}
    still = np.mean([np.hypot(s.pair.dx, s.pair.dy)[s.pair.valid > 0].mean() for s in tested])
    print(f"mean endpoint error, px, valid pixels, four nylon scenes, 2000 photons; no motion: {still:.4f}")
    print(f"{'':<14}" + "".join(f"{'window ' + str(window):>11}" for window in WINDOWS))
    for exposures in EXPOSURES:
        bounds[exposures] = [
            float(np.mean([bound_px(setup, scene, window, exposures) for scene in tested]))
            for window in WINDOWS
        ]
        for name, track in methods.items():
            errors[name, exposures] = [
                float(np.mean([endpoint_error(track, scene.pair, window, exposures) for scene in tested]))
                for window in WINDOWS
            ]
            print_row(f"{name}, K = {exposures}", errors[name, exposures])
        print_row(f"bound, K = {exposures}", bounds[exposures])
    if plot is not None:
        draw(plot, errors, bounds, float(still))


def print_row(name: str, values: list[float]) -> None:
    print(f"{name:<14}" + "".join(f"{value:>11.4f}" for value in values))


def endpoint_error(track: Callable[..., Retrieval], pair: SpecklePair, window: int, exposures: int) -> float:
    result = track(pair.reference[:exposures], pair.sample[:exposures], window=window)
    return float(np.hypot(result.dx - pair.dx, result.dy - pair.dy)[pair.valid > 0].mean())


def draw(
    path: Path, errors: dict[tuple[str, int], list[float]], bounds: dict[int, list[float]], still: float
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
    for axis, name in zip(axes, ("umpa", "lcs"), strict=True):
        for number, exposures in enumerate(EXPOSURES):
            colour = f"C{number}"
            axis.loglog(WINDOWS, errors[name, exposures], "o-", color=colour, label=f"{exposures}")
            axis.loglog(WINDOWS, bounds[exposures], "--", color=colour, lw=1)
        axis.axhline(still, color="0.6", lw=1)
        axis.annotate("no motion found", (WINDOWS[-1], still), fontsize=8, va="bottom", ha="right")
        axis.set(title=name, xlabel="window (pixel)", xticks=WINDOWS, xticklabels=WINDOWS)
        axis.set(yticks=(0.002, 0.005, 0.01, 0.02, 0.05), yticklabels=(0.002, 0.005, 0.01, 0.02, 0.05))
        axis.minorticks_off()
    axes[0].set_ylabel("mean endpoint error, valid pixels (pixel)")
    axes[0].legend(title="exposures; dashed: bound")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def report_phase() -> None:
    """RMS error of the phase over its largest value, its constant taken off, on the whole frame."""
    setup = Setup()
    field = simulate_field(setup, seeds.field_rng(0, "evaluation", 0))
    width, strongest = 40.0, 0.5

    def lens(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fall = strongest / width * np.exp(0.5 - (x**2 + y**2) / (2 * width**2))
        return fall * x, fall * y

    reference, sample, _, _ = moved_pair(setup, field, lens, max(EXPOSURES))
    y, x = np.mgrid[: setup.detector.rows, : setup.detector.columns] - (setup.detector.rows - 1) / 2
    potential = -strongest * width * np.exp(0.5 - (x**2 + y**2) / (2 * width**2))
    cases = [("phase lens, 0.5 px", None, reference, sample, radians_per_pixel(setup) * potential)]
    for material in ("nylon", "al2o3"):
        pair = draw_pair(
            setup, field, material=material, geometry="sphere", seed=0, split="evaluation", index=0,
            steps=max(EXPOSURES),
        )  # fmt: skip
        cases.append((f"{material} sphere", material, pair.reference, pair.sample, pair.phase))
    print("RMS error of the phase over its largest value, 2000 photons, K = 1 / 4 / 20")
    print(f"{'':<20}" + "".join(f"{case[0]:>26}" for case in cases))
    for title, name, fewest, options in (
        ("umpa", "umpa", 1, {}),
        ("lcs", "lcs", 1, {}),
        ("speckle-tie", "speckle-tie", 1, {"material": True}),
        ("mist, attenuating", "mist", 2, {"material": True}),
        ("mist, phase", "mist", 2, {"form": "phase"}),
        ("mist, gradients", "mist", 4, {"form": "phase-gradients"}),
    ):
        line = f"{title:<20}"
        for _, material, references, samples, phase in cases:
            own = {**options, "material": material} if "material" in options else options
            words = []
            for exposures in (1, 4, 20):
                if exposures < fewest or ("material" in own and material is None):
                    words.append("-")
                    continue
                result = retrieve(name, references[:exposures], samples[:exposures], setup=setup, **own)
                words.append(f"{np.std(result.phase - phase) / np.abs(phase).max():.3f}")
            line += f"{' / '.join(words):>26}"
        print(line)


def report_speed() -> None:
    setup = Setup()
    field = simulate_field(setup, seeds.field_rng(0, "evaluation", 0))
    pair = draw_pair(
        setup, field, material="nylon", geometry="sphere", seed=0, split="evaluation", index=0, steps=4
    )
    reference, sample = pair.reference[0], pair.sample[0]
    wave = np.ones((1024, 1024), np.complex64)
    unit = best_s(lambda: scipy.fft.ifft2(scipy.fft.fft2(wave), overwrite_x=True))
    print(f"F = {1e3 * unit:.1f} ms; one pair of 256², window 13, max shift 4, one thread")
    runs: dict[str, Callable[[], object]] = {
        name: partial(track, reference, sample, window=13) for name, track in TRACKERS.items()
    }
    runs["umpa, 4 exposures"] = partial(umpa, pair.reference, pair.sample, window=13)
    runs["mist, 4 exposures"] = partial(mist, pair.reference, pair.sample, setup=setup, material="nylon")
    runs["speckle-tie"] = partial(speckle_tie, reference, sample, setup=setup, material="nylon")
    for name in ("flow-ilk", "flow-tvl1"):
        runs[name] = partial(retrieve, name, reference, sample)
    for name, run in runs.items():
        try:
            seconds = best_s(run)
        except ModuleNotFoundError as error:
            print(f"{name:<22}{error}")
            continue
        print(f"{name:<22}{1e3 * seconds:>8.1f} ms{seconds / unit:>8.2f} F")
    report_algotom(reference, sample, runs)
    report_memory()


def report_algotom(
    reference: np.ndarray, sample: np.ndarray, runs: Mapping[str, Callable[[], object]]
) -> None:
    """Elapsed time a pixel of algotom's CPU path on a part of the frame, against ours on all of it."""
    try:
        from algotom.util import correlation
    except ModuleNotFoundError:
        print("algotom is not installed")
        return
    side, margin, window = 64, 5, 13
    parts = [image[:side, :side].astype(np.float32) for image in (reference, sample)]
    tracked = (side - 2 * (margin + window // 2)) ** 2
    stacks = [part[None] for part in parts]
    for name, run in {
        "umpa": lambda: correlation.find_local_shifts_umpa(*stacks, window, margin, gpu=False, ncore=1),
        "xst": lambda: correlation.find_local_shifts(*parts, 1, window, margin, gpu=False, ncore=1),
    }.items():
        theirs = best_s(run, 3, time.perf_counter) / tracked  # it starts processes
        ours = best_s(runs[name], 5, time.perf_counter) / reference.size
        print(f"algotom ({name}), CPU{1e6 * theirs:>10.1f} µs a pixel, {theirs / ours:.0f} times ours")


def report_memory() -> None:
    """Time and peak memory of a 2048² pair, each in a process of its own."""
    for name in ("umpa", "xst", "lcs"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, before, peak = pool.apply(large_pair, (name,))
        print(f"{name}, 2048²: {seconds:.1f} s, {peak:.2f} GB at most ({before:.2f} GB ahead of it)")


def large_pair(name: str) -> tuple[float, float, float]:
    """Seconds of a 2048² pair, the memory before, and the most during it, GB."""
    rng = np.random.default_rng(0)
    pattern = scipy.ndimage.gaussian_filter(rng.normal(size=(2048, 2052)), 1.2).astype(np.float32)
    pattern = 1 + 0.4 * pattern / pattern.std()
    pattern = np.maximum(pattern, 0.01, dtype=np.float32)

    retrieve(name, pattern[:64, :64], pattern[:64, :64])
    before = resident_megabytes("VmRSS") / 1000
    Path("/proc/self/clear_refs").write_text("5")  # the most begins again from here
    start = time.process_time()
    retrieve(name, pattern[:, 4:], pattern[:, 1:-3], window=13)
    return time.process_time() - start, before, resident_megabytes("VmHWM") / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("bias", "accuracy", "phase", "speed"))
    parser.add_argument("--plot", type=Path, help="picture of the accuracy, PNG")
    arguments = parser.parse_args()
    if arguments.what == "bias":
        report_bias()
    elif arguments.what == "accuracy":
        report_accuracy(arguments.plot)
    elif arguments.what == "phase":
        report_phase()
    else:
        report_speed()


if __name__ == "__main__":
    main()
