"""Simulate a small training set, train a tiny network on it, and run it on a pair it has not seen.

python examples/tiny_network.py [--small] [-o tiny_network.png]       needs the extra [train] or [train-cpu]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import specksim
import specksim_train
from specksim.retrieval import umpa

parser = argparse.ArgumentParser(description="Train a tiny network.")
parser.add_argument("--small", action="store_true", help="next to no training, to see that it runs")
parser.add_argument("-o", "--out", default="tiny_network.png", help="the picture")
given = parser.parse_args()

side, pairs, epochs = (64, 6, 1) if given.small else (128, 150, 12)
setup = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)
settings = specksim_train.Settings(base_filters=4, epochs=epochs, batch_size=4, learning_rate=3e-3)
with tempfile.TemporaryDirectory() as folder:
    training, validation = Path(folder) / "training.h5", Path(folder) / "validation.h5"
    specksim.generate(training, setup, material="mixed", n=pairs, drift=0.5)
    specksim.generate(validation, setup, material="mixed", n=max(2, pairs // 10), split="validation")
    run = specksim_train.fit(
        [training], Path(folder) / "run", validation=validation, settings=settings, progress=print
    )
    network = specksim_train.load(run)

pair = specksim.simulate(setup, geometry="sphere", seed=1, split="evaluation")  # another sandpaper
found = {
    "network": network.predict(pair.reference, pair.sample),
    "umpa": umpa(pair.reference, pair.sample),
}
limit = float(np.percentile(np.abs(pair.dx), 99))
figure = Figure(figsize=(10.5, 3.8), layout="constrained")
axes = figure.subplots(1, 3)
axes[0].set_title("truth: dx")
axes[0].imshow(pair.dx, "RdBu_r", vmin=-limit, vmax=limit)
for axis, (name, result) in zip(axes[1:], found.items(), strict=True):
    error = np.hypot(result.dx - pair.dx, result.dy - pair.dy)
    axis.set_title(f"{name}: {error.mean():.4f} px, valid {error[pair.valid == 1].mean():.4f} px")
    image = axis.imshow(result.dx, "RdBu_r", vmin=-limit, vmax=limit)
    print(axis.get_title())
figure.colorbar(image, ax=axes, shrink=0.85, label="px")
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
