"""The same object of three materials: how far it moves the speckle, and how much light it takes.

python examples/material_comparison.py [--small] [-o material_comparison.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import specksim

parser = argparse.ArgumentParser(description="Compare nylon, PMMA and alumina in one scene.")
parser.add_argument("--small", action="store_true", help="a frame of 96² pixels, for a quick try")
parser.add_argument("-o", "--out", default="material_comparison.png", help="the picture")
given = parser.parse_args()

side = 96 if given.small else 256
setup = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)
energy_kev = setup.beam.energy_kev

figure = Figure(figsize=(11, 6.2), layout="constrained")
axes = figure.subplots(2, 3)
x_mm = (np.arange(side) + 0.5) * setup.object_pixel_m * 1e3
for axis, material in zip(axes[0], ("nylon", "pmma", "al2o3"), strict=True):
    # the scene is drawn from seed and index alone: only the material differs
    pair = specksim.simulate(setup, material=material, geometry="sphere", seed=4)
    delta, beta = specksim.refractive_index(material, energy_kev)
    largest = np.percentile(np.hypot(pair.dx, pair.dy), 95)
    print(f"{material:<6} δ {delta:.3e}  β {beta:.3e}  δ/β {delta / beta:4.0f}  p95 |d| {largest:.3f} px")
    axis.imshow(np.hypot(pair.dx, pair.dy), "viridis", vmax=0.8, interpolation="nearest")
    axis.set(title=f"{material}: |d|, 0 to 0.8 px", xticks=[], yticks=[])
    row = int(np.argmax(np.abs(pair.dx).sum(axis=1)))  # through an object
    axis.axhline(row, color="w", lw=0.6, ls=":")
    for below, values in zip(axes[1], (pair.dx[row], pair.phase[row], pair.transmission[row]), strict=True):
        below.plot(x_mm, values, label=material)
for axis, name in zip(axes[1], ("dx (px)", "phase (rad)", "transmission"), strict=True):
    axis.set(title=f"{name}, dotted row", xlabel="x in the object (mm)")
    axis.legend()
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
