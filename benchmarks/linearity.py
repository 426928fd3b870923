"""Do constant shifts come back as they are? A prior that shrinks them would look accurate on still frames.

    python benchmarks/linearity.py imbl-28kev-guided imbl-28kev-unet
    python benchmarks/linearity.py imbl-28kev-guided imbl-28kev-unet --part

The whole frame of the default preset shifts, without an object, by each length in eight directions, at 2000
photons a pixel; every network, and LCS in windows of 21 px, is given the same pairs. Printed: the recovered
share of the shift and the scatter about it, pixels (an axis). With --part the left 60 % of the frame stand,
so that `predict` cannot take the shift off as a whole, and UMPA takes the place of LCS. Needs the extra
[train-cpu].
"""

import argparse
import math

import numpy as np

from specksim import Setup
from specksim.drift import Drift
from specksim.forward import simulate_pair
from specksim.retrieval import Retrieval, lcs, umpa
from specksim.sandpaper import simulate_field

LENGTHS_PX = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 3.0)
PART_LENGTHS_PX = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
PART, SEAM_PX = 0.6, 24
PHOTONS = 2000
DIRECTIONS = 8
WINDOW_PX = 21
BORDER_PX = 8  # what has no counterpart in the other image


def shares(found: Retrieval, shift_px: np.ndarray, first: int) -> tuple[float, float]:
    """Recovered share of a shift and scatter about it from a column on, px; the share of no shift is NaN."""
    inner = (slice(BORDER_PX, -BORDER_PX), slice(first, -BORDER_PX))
    maps = np.stack([found.dx[inner], found.dy[inner]])
    mean = maps.mean(axis=(1, 2))
    square = float(shift_px @ shift_px)
    return float(mean @ shift_px) / square if square else math.nan, float(maps.std(axis=(1, 2)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--part", action="store_true")
    options = parser.parse_args()
    from specksim_train import load

    setup = Setup.load("imbl-28kev").with_values(detector__photons_per_pixel=math.inf)
    methods = {name: load(name).predict for name in options.networks}
    if options.part:
        methods["umpa"] = lambda reference, sample: umpa(reference, sample, window=WINDOW_PX, max_shift=9)
    else:
        methods["lcs"] = lambda reference, sample: lcs(reference, sample, window=WINDOW_PX)
    standing = math.ceil(PART * setup.detector.columns) if options.part else 0
    first = standing + SEAM_PX if options.part else BORDER_PX
    rng = np.random.default_rng(11)
    field = simulate_field(setup, rng)
    print("| shift, px |", " | ".join(f"`{name}`: share, scatter in px" for name in methods), "|")
    print("|---" * (1 + len(methods)) + "|")
    for length_px in PART_LENGTHS_PX if options.part else LENGTHS_PX:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
        for direction in range(DIRECTIONS):
            angle = 2 * math.pi * (direction + 0.3) / DIRECTIONS
            shift_px = length_px * np.array([math.cos(angle), math.sin(angle)])
            scene = {
                "geometry": "empty",
                "material": "nylon",
                "drift": Drift(constant_px=tuple(shift_px.tolist())).to_json(),
            }
            pair = simulate_pair(setup, scene, field, rng, rng)
            expected = np.stack([pair.reference[0], pair.sample[0]])
            expected[1, :, :standing] = expected[0, :, :standing]
            images = rng.poisson(PHOTONS * expected).astype(np.uint16)
            for name, method in methods.items():
                found[name].append(shares(method(*images), shift_px, first))
        cells = ("{:.3f}, {:.4f}".format(*np.mean(values, axis=0)) for values in found.values())
        print(f"| {length_px:g} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
