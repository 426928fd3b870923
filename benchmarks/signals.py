"""How large the signals of each preset are against what noise allows.

    python benchmarks/signals.py

For pairs of the four training geometries in nylon: median and 95th percentile of the displacement where there
is an object, the speckle on the detector, and the least standard deviation with which one pair, with both
images noisy, tells a constant shift along one axis from a square window: σ² ≥ 4σ_n² / Σ|∇I|², where σ_n² is
the photon noise.
"""

import math

import numpy as np

from specksim import Setup, phantoms, seeds
from specksim.assessment import displacement_bound_px, speckle_size_px, visibility
from specksim.forward import draw_pair
from specksim.sandpaper import simulate_field
from specksim.setups import presets

_WINDOWS_PX = (13, 31)
_ROUNDS = 2


def main() -> None:
    print("| preset | median d (px) | p95 d (px) | visibility | width (px) | bound, 13 px | bound, 31 px |")
    print("|---|---|---|---|---|---|---|")
    for name in presets():
        setup = Setup.load(name)
        quiet = setup.with_values(detector__photons_per_pixel=math.inf)
        field = simulate_field(quiet, seeds.field_rng(0, "training", 0))
        pairs = [
            draw_pair(
                quiet, field, material="nylon", geometry=geometry, seed=0, split="training", index=index
            )
            for index, geometry in enumerate(phantoms.TRAINING * _ROUNDS)
        ]
        shifts = np.concatenate([np.hypot(pair.dx, pair.dy).ravel() for pair in pairs])
        shifts = shifts[shifts > 0]
        reference = pairs[0].reference[0]
        noise = float(reference.mean()) / setup.detector.photons_per_pixel
        bounds = (max(displacement_bound_px(reference, window, noise)) for window in _WINDOWS_PX)
        cells = " | ".join(f"{bound:.3f}" for bound in bounds)
        print(
            f"| `{name}` | {np.median(shifts):.3f} | {np.percentile(shifts, 95):.3f} | "
            f"{visibility(reference):.2f} | {np.mean(speckle_size_px(reference)):.1f} | {cells} |"
        )


if __name__ == "__main__":
    main()
