"""How the error of two trackers falls with the dose, and what no unbiased one can beat.

python examples/dose_curve.py [--small] [-o dose_curve.png]
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import specksim
from specksim.assessment import displacement_bound_px
from specksim.retrieval import lcs, umpa

parser = argparse.ArgumentParser(description="Endpoint error against photons per pixel.")
parser.add_argument("--small", action="store_true", help="two doses, a frame of 96² pixels")
parser.add_argument("-o", "--out", default="dose_curve.png", help="the picture")
given = parser.parse_args()

side, doses = (96, [300, 3000]) if given.small else (256, [30, 100, 300, 1000, 3000, 10000, 30000])
window = 13
beamline = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)

errors: dict[str, list[float]] = {"umpa": [], "lcs": [], "no motion at all": [], "bound": []}
for photons in doses:
    setup = beamline.with_values(detector__photons_per_pixel=photons)
    pair = specksim.simulate(setup, geometry="blobs", seed=2)  # the same scene and sandpaper, other noise
    valid = (pair.valid == 1) & np.pad(np.ones((side - 2 * window,) * 2, bool), window)
    for method in (umpa, lcs):
        found = method(pair.reference, pair.sample, window=window)
        error = np.hypot(found.dx - pair.dx, found.dy - pair.dy)
        errors[method.__name__].append(error[valid].mean())
    errors["no motion at all"].append(np.hypot(pair.dx, pair.dy)[valid].mean())
    # of the pattern as it is recorded; the variance of photon noise is the mean count
    sigma = np.mean(displacement_bound_px(pair.reference[0], window, pair.reference.mean()))
    errors["bound"].append(float(sigma * np.sqrt(np.pi / 2)))  # mean length of two such errors
    print(f"{photons:6} photons: ", *(f"{name} {values[-1]:.4f} px" for name, values in errors.items()))

figure = Figure(figsize=(7, 5), layout="constrained")
axis = figure.subplots()
styles = {"umpa": "o-", "lcs": "s-", "no motion at all": "k:", "bound": "k--"}
for name, values in errors.items():
    axis.loglog(doses, values, styles[name], label=name)
axis.set(xlabel="photons per pixel", ylabel="mean endpoint error, valid pixels (px)", ylim=(1e-3, 0.3))
axis.set_title(f"One pair, windows of {window} px")
axis.legend()
axis.grid(alpha=0.3, which="both")
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
