"""From images to a phase: retrieve the displacement, integrate it, compare with the truth.

python examples/phase.py [--small] [-o phase.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import specksim
from specksim.retrieval import integrate_phase, umpa

parser = argparse.ArgumentParser(description="Retrieve and integrate a phase.")
parser.add_argument("--small", action="store_true", help="a frame of 96² pixels, for a quick try")
parser.add_argument("-o", "--out", default="phase.png", help="the picture")
given = parser.parse_args()

side = 96 if given.small else 256
setup = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)
pair = specksim.simulate(setup, material="nylon", geometry="blobs", seed=3)

found = umpa(pair.reference, pair.sample, window=13)
# each pixel counts as much as the tracker trusts it: borders and flat places do not pull at the rest
phase = integrate_phase(found.dx, found.dy, setup, weights=found.quality)
exact = integrate_phase(pair.dx, pair.dy, setup)  # of the true displacement: what integration alone loses

# a displacement does not know the phase's constant: compare without it
for name, values in (("true displacement", exact), ("umpa", phase)):
    error = values - pair.phase
    print(f"{name}: {error.std():.3f} rad (RMS) of {np.ptp(pair.phase):.1f} rad")

error = phase - pair.phase
panels = [("phase, truth (rad)", pair.phase - pair.phase.mean(), "viridis")]
panels += [("from one pair by UMPA", phase - phase.mean(), "viridis")]
panels += [("difference", error - error.mean(), "RdBu_r")]
figure = Figure(figsize=(14, 3.6), layout="constrained")
axes = figure.subplots(1, 4)
for axis, (title, values, colours) in zip(axes, panels, strict=False):
    image = axis.imshow(values, colours, interpolation="nearest")
    axis.set(title=title, xticks=[], yticks=[])
    figure.colorbar(image, ax=axis, shrink=0.85)
row = side // 2
for label, values in (("truth", pair.phase), ("UMPA", phase)):
    axes[3].plot(values[row] - values.mean(), label=label)
axes[3].set(title=f"row {row}", xlabel="column (px)", ylabel="phase (rad)")
axes[3].legend()
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
