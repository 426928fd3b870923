"""The first pair: what a speckle experiment records, and the truth behind it.

python examples/first_pair.py [--small] [-o first_pair.png]
"""

import argparse

from matplotlib.figure import Figure

import specksim

parser = argparse.ArgumentParser(description="Simulate one pair and draw it.")
parser.add_argument("--small", action="store_true", help="a frame of 96² pixels, for a quick try")
parser.add_argument("-o", "--out", default="first_pair.png", help="the picture")
given = parser.parse_args()

# a setup is a beamline: beam, sandpaper, distances, detector
setup = specksim.Setup.load("imbl-28kev")
if given.small:
    setup = setup.with_values(detector__rows=96, detector__columns=96)

# pair 0 of the data set that `specksim generate --seed 1` would write, with the same numbers
pair = specksim.simulate(setup, material="nylon", geometry="sphere", seed=1, index=0)
print(f"reference {pair.reference.shape} {pair.reference.dtype}, mean {pair.reference.mean():.0f} counts")
print(f"displacement {pair.dx.shape}: dx from {pair.dx.min():.3f} to {pair.dx.max():.3f} px")
print(f"{100 * pair.valid.mean():.1f} % of the pixels are valid: there ray optics holds")

panels = [
    ("reference (counts)", pair.reference[0], "gray"),  # [0]: the first position of the sandpaper
    ("sample (counts)", pair.sample[0], "gray"),
    ("sample − reference", pair.sample[0].astype(float) - pair.reference[0], "gray"),
    ("dx (px), along columns", pair.dx, "RdBu_r"),
    ("dy (px), along rows", pair.dy, "RdBu_r"),
    ("phase (rad)", pair.phase, "viridis"),
]
figure = Figure(figsize=(11, 6.6), layout="constrained")
for axis, (title, values, colours) in zip(figure.subplots(2, 3).flat, panels, strict=True):
    limit = abs(values).max() if colours == "RdBu_r" else None
    image = axis.imshow(values, colours, vmin=limit and -limit, vmax=limit, interpolation="nearest")
    axis.set(title=title, xticks=[], yticks=[])
    figure.colorbar(image, ax=axis, shrink=0.85)
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
