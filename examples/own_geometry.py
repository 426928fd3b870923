"""An object of your own, by its thickness: a spiral groove, computed here and given as a file.

python examples/own_geometry.py [--small] [-o own_geometry.png]

A geometry that draws a new object for each pair is a package of two functions: examples/geometry-plugin.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import specksim

parser = argparse.ArgumentParser(description="Simulate an object given by its thickness.")
parser.add_argument("--small", action="store_true", help="a frame of 96² pixels, for a quick try")
parser.add_argument("-o", "--out", default="own_geometry.png", help="the picture")
given = parser.parse_args()

side, parts = (96 if given.small else 256), 4  # values per pixel and axis, as many as there are rays
setup = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)

# thickness in µm at the centres of the parts; x along columns, y along rows, downwards
pitch_um = 1e6 * setup.object_pixel_m / parts
way = (np.arange(side * parts) - 0.5 * (side * parts - 1)) * pitch_um
x, y = np.meshgrid(way, way)
radius, angle = np.hypot(x, y), np.arctan2(y, x)
turn_um = 0.16 * way.max() * 2
groove = np.cos(2 * np.pi * radius / turn_um - angle)
rim = 1 / (1 + np.exp((radius - 0.85 * way.max()) / (0.02 * way.max())))  # smooth: walls are no ray optics
thickness_um = 0.1 * turn_um * (1 + groove) * rim * np.clip(radius / turn_um, 0, 1)

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "spiral.npy"
    np.save(file, thickness_um)
    pair = specksim.simulate(setup, material="al2o3", geometry=f"thickness:{file}@um", seed=1)

delta, _ = specksim.refractive_index("al2o3", setup.beam.energy_kev)
slope = np.gradient(thickness_um, pitch_um, axis=1).reshape(side, parts, side, parts).mean(axis=(1, 3))
expected = -setup.propagation.sample_to_detector_m * delta * slope / (1e-6 * setup.detector.pixel_size_um)
print(f"dx differs from −zδ ∂T/∂x by {np.abs(pair.dx - expected).max():.4f} px at most")

figure = Figure(figsize=(14, 3.6), layout="constrained")
panels = [("thickness (µm)", thickness_um, "viridis"), ("sample (counts)", pair.sample[0], "gray")]
panels += [("dx (px)", pair.dx, "RdBu_r"), ("dy (px)", pair.dy, "RdBu_r")]
for axis, (title, values, colours) in zip(figure.subplots(1, 4), panels, strict=True):
    limit = np.abs(values).max() if colours == "RdBu_r" else None
    image = axis.imshow(values, colours, vmin=limit and -limit, vmax=limit, interpolation="nearest")
    axis.set(title=title, xticks=[], yticks=[])
    figure.colorbar(image, ax=axis, shrink=0.85)
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
