"""The drawings of the explanations: conventions.png, attenuation.png, valid.png; one_pair.png of the README.

python docs/figures.py [NAME …]        needs the extras [test], for xraydb, and [train-cpu]
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import specksim
from specksim import seeds
from specksim.forward import simulate_pair
from specksim.sandpaper import simulate_field

HERE = Path(__file__).parent


def conventions() -> Figure:
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1.4, 1.1))
    _draw_axes(axes[0])
    _draw_lens(axes[1])
    _draw_signs(axes[2])
    return figure


def _draw_axes(axis: Axes) -> None:
    """A speckle grain at row 2, column 2 of the reference, found at row 3.5, column 4.5 of the sample."""
    size, start, end = 7, (2, 2), (4.5, 3.5)  # (x, y)
    rows, columns = np.mgrid[:size, :size]
    for (x, y), colours in ((start, "Blues"), (end, "Oranges")):
        grain = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 0.9)
        axis.imshow(np.ma.masked_less(grain, 0.05), colours, vmin=-0.3, vmax=1.4)
    axis.set_xticks(np.arange(-0.5, size), minor=True)
    axis.set_yticks(np.arange(-0.5, size), minor=True)
    axis.grid(which="minor", color="0.8")
    axis.tick_params(which="minor", length=0)
    arrow = {"arrowstyle": "-|>", "color": "k", "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", xy=end, xytext=start, arrowprops={**arrow, "lw": 2})
    axis.annotate("", xy=(end[0], start[1]), xytext=start, arrowprops={**arrow, "ls": ":"})
    axis.annotate("", xy=end, xytext=(end[0], start[1]), arrowprops={**arrow, "ls": ":"})
    axis.text(3.25, 1.7, "dx = +2.5", ha="center")
    axis.text(4.65, 2.85, "dy = +1.5")
    axis.text(-0.3, 0, "in the reference, at x", color="C0", va="center")
    axis.text(2.2, 6, "in the sample, at x + d(x)", color="C1", va="center")
    axis.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), title="axes and direction")
    axis.set(xlabel="column (x →)", ylabel="row (y ↓)")


def _draw_lens(axis: Axes) -> None:
    """Rays through a sphere of n < 1, from the side; angles are exaggerated."""
    radius, detector = 1.0, 6.0
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.fill(radius * np.cos(angle), radius * np.sin(angle), color="C0", alpha=0.25, lw=0)
    for x in np.linspace(-1.6, 1.6, 17):
        inside = abs(x) < 0.97
        slope = 0.09 * x / np.sqrt(1 - x**2) if inside else 0.0  # −δ ∂T/∂x, T = 2 √(R² − x²)
        axis.plot([-2.4, 0, detector], [x, x, x + detector * slope], color="C3" if inside else "0.6", lw=0.9)
        if inside and abs(abs(x) - 0.8) < 0.01:
            axis.plot([0, detector], [x, x], color="0.6", lw=0.9, ls=":")
            axis.annotate(
                "",
                xy=(detector + 0.15, x + detector * slope),
                xytext=(detector + 0.15, x),
                arrowprops={"arrowstyle": "-|>", "color": "k", "shrinkA": 0, "shrinkB": 0},
            )
            axis.text(detector + 0.3, x + 0.5 * detector * slope, "d > 0" if x > 0 else "d < 0", va="center")
    axis.axvline(detector, color="k", lw=2)
    axis.text(0, -2.15, "matter:\nn = 1 − δ", ha="center", va="center", color="C0")
    axis.text(detector + 0.15, -2.6, "detector")
    axis.annotate(
        "", xy=(detector, 2.6), xytext=(0, 2.6), arrowprops={"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0}
    )
    axis.text(detector / 2, 2.7, "z", ha="center")
    axis.set(
        xlim=(-2.5, 7.6),
        ylim=(-3.1, 3.1),
        xticks=[],
        yticks=[],
        aspect="equal",
        title="a sphere spreads the rays",
    )
    axis.set(xlabel="along the beam →", ylabel="x →")


def _draw_signs(axis: Axes) -> None:
    """Thickness, phase and displacement of a smooth bump along a row, each scaled to its largest value."""
    x = np.linspace(-1.6, 1.6, 400)
    thickness = np.exp(-(x**2) / 0.18)
    slope = np.gradient(thickness, x)
    curves = (("T (thickness)", thickness, "C0"), ("φ = −kδT", -thickness, "C2"))
    for label, values, colour in (*curves, ("dx = −zδ ∂T/∂x", -slope / np.abs(slope).max(), "C3")):
        axis.plot(x, values, color=colour, label=label, lw=2)
    axis.axhline(0, color="0.7", lw=0.8)
    axis.set(title="signs along a row", xlabel="x (columns) →", xticks=[], yticks=[0], ylim=(-1.15, 1.75))
    axis.legend(loc="upper left", ncols=2)


def attenuation() -> Figure:
    import xraydb
    import xraylib

    energies = np.geomspace(5, 150, 120)
    formula, density = "C6H11NO", 1.14
    total = np.array([specksim.refractive_index("nylon", float(energy))[1] for energy in energies])
    shares = [xraylib.CS_Photo_CP(formula, e) / xraylib.CS_Total_CP(formula, e) for e in energies]
    other = np.array([xraydb.xray_delta_beta(formula, density, 1e3 * energy)[1] for energy in energies])
    curves = {
        "total attenuation (xraylib; specksim)": (total, "C0-"),
        "photoabsorption of xraylib": (total * shares, "C1--"),
        "xraydb": (other, "C3:"),
    }
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, (beta, style) in curves.items():
        left.loglog(energies, beta, style, label=label, lw=2)
        right.semilogx(energies, total / beta, style, label=label, lw=2)
        for energy in (20, 28, 52):
            print(f"{label}, {energy} keV: total / this {np.interp(energy, energies, total / beta):.2f}")
    left.set(xlabel="energy (keV)", ylabel="β of nylon")
    right.set(xlabel="energy (keV)", ylabel="β of total attenuation over this", ylim=(0, 30), xlim=(5, 100))
    left.legend()
    for axis in (left, right):
        axis.set_xticks(ticks := [5, 10, 20, 28, 52, 100], map(str, ticks))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    return figure


def valid() -> Figure:
    """A row through an Al2O3 sphere, by rays and by waves, same sandpaper, without noise."""
    setup = specksim.Setup.load("imbl-28kev")
    detector = replace(setup.detector, rows=192, columns=192, photons_per_pixel=np.inf)
    setup = replace(setup, detector=detector)
    field = simulate_field(setup, seeds.field_rng(0, "evaluation", 0), waves=True)
    sphere = {"shape": "sphere", "x_um": 0.0, "y_um": 0.0, "radius_um": 600.0}
    scene = {"geometry": "sphere", "material": "al2o3", "bodies": [sphere]}
    rays, waves = (
        simulate_pair(
            setup, scene, field, np.random.default_rng(0), np.random.default_rng(1), propagation=propagation
        )
        for propagation in ("rays", "waves")
    )
    row = slice(92, 100)  # some rows around the middle
    x = np.arange(detector.columns)
    error = np.sqrt(np.mean((rays.sample[0] - waves.sample[0])[row] ** 2, axis=0)) / waves.reference.std()
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for axis in (above, below):
        across = axis.get_xaxis_transform()
        axis.fill_between(x, 0, 1, where=rays.valid[96] == 0, step="mid", color="0.85", transform=across)
    above.plot(x, rays.dx[96], "C3", drawstyle="steps-mid")
    above.set(ylabel="dx (px)", title="Al2O3 sphere, 0.6 mm radius, default preset; grey: valid = 0")
    below.plot(x, error, "C0")
    below.set(ylabel="RMS(rays − waves) / contrast", xlabel="column (px)", xlim=(0, 191), ylim=(0, None))
    return figure


def one_pair() -> Figure:
    """Pair 3 of `specksim generate --material nylon --n 150`: its images, its truth, and what is found."""
    from specksim.retrieval import umpa
    from specksim_train import load

    setup = specksim.Setup.load("imbl-28kev")
    pair = specksim.simulate(setup, material="nylon", geometry="spheres-in-block", seed=0, index=3)
    images = pair.reference[0], pair.sample[0]
    maps = {
        "truth": pair.dx,
        "network, from this one pair": load("imbl-28kev-guided").predict(*images).dx,
        "UMPA, 25 px window": umpa(*images, window=25, max_shift=4).dx,
    }
    figure = Figure(figsize=(10.4, 7.2), layout="constrained")
    axes = figure.subplots(2, 3)
    low, high = np.percentile(images[0], [1, 99])
    for axis, image, title in zip(axes[0], images, ("reference (counts)", "sample (counts)"), strict=False):
        axis.imshow(image, "gray", vmin=low, vmax=high)
        axis.set_title(title)
    limit = float(np.percentile(np.abs(pair.dx), 99))
    for axis, (name, values) in zip((axes[0, 2], axes[1, 0], axes[1, 1]), maps.items(), strict=True):
        shown = axis.imshow(values, "RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(f"dx: {name}")
    figure.colorbar(shown, ax=axes[:, 2], label="dx (px)", extend="both", shrink=0.8)
    row = 178
    for axis in (axes[0, 2], axes[1, 0], axes[1, 1]):
        axis.axhline(row, color="0.4", lw=0.8, ls=":")
    for (_, values), colour, width in zip(maps.items(), ("0.6", "C3", "C0"), (4, 1.4, 1.4), strict=True):
        axes[1, 2].plot(values[row], color=colour, lw=width)
    axes[1, 2].legend(("truth", "network", "UMPA"), loc="lower left", frameon=False, fontsize=9)
    axes[1, 2].set(xlim=(0, 255), xlabel="column (px)", title="dx along the dotted row (px)")
    axes[1, 2].set_box_aspect(1)
    for axis in axes.flat[:5]:
        axis.set(xticks=[], yticks=[])
    return figure


if __name__ == "__main__":
    figures = {function.__name__: function for function in (conventions, attenuation, valid, one_pair)}
    for name in sys.argv[1:] or figures:
        figures[name]().savefig(HERE / f"{name}.png", dpi=80)
