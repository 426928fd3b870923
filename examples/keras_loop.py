"""A data set in a Keras training of your own: a PyDataset over the file, and a plain convolutional network.

python examples/keras_loop.py [--small] [-o keras_loop.png]           needs the extra [train] or [train-cpu]
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

import specksim


def channels(reference: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """(H, W, 2): the reference moved by a small d loses d·∇r; times ∇r, its local means tell d."""
    r, s = reference / reference.mean(), sample / sample.mean()
    gradient_y, gradient_x = np.gradient(r)
    return np.stack([(r - s) * gradient_x, (r - s) * gradient_y], -1) / np.mean(gradient_x**2)


class Batches(keras.utils.PyDataset):
    """Channels and displacements (dx, dy) in px, both (batch, H, W, 2), in a new order each epoch."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()  # with workers > 1 each opens the file: a data set may be sent to a process
        self.pairs, self.size = specksim.open_dataset(path), size
        self.rng = np.random.default_rng(0)
        self.order = np.arange(len(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs) // self.size

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = [self.pairs[int(row)] for row in self.order[batch * self.size :][: self.size]]
        images = np.stack([channels(pair.reference[0], pair.sample[0]) for pair in chosen])
        return images.astype(np.float32), np.stack([np.stack([pair.dx, pair.dy], -1) for pair in chosen])

    def on_epoch_end(self) -> None:
        self.rng.shuffle(self.order)


parser = argparse.ArgumentParser(description="Train a Keras model of your own on a data set.")
parser.add_argument("--small", action="store_true", help="next to no training, to see that it runs")
parser.add_argument("-o", "--out", default="keras_loop.png", help="the picture")
given = parser.parse_args()
side, pairs, epochs = (32, 4, 2) if given.small else (64, 150, 10)
setup = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)

keras.utils.set_random_seed(0)
convolutions = [keras.layers.Conv2D(8, 5, padding="same", activation="relu") for _ in range(3)]
model = keras.Sequential([keras.Input((None, None, 2)), *convolutions, keras.layers.Conv2D(2, 1)])
model.compile(keras.optimizers.Adam(3e-3), loss="mean_squared_error")
with tempfile.TemporaryDirectory() as folder:
    file = specksim.generate(Path(folder) / "wedges.h5", setup, material="al2o3", geometries="wedge", n=pairs)
    batches = Batches(file, 4)
    still = float(np.mean([np.square(batches[k][1]).mean() for k in range(len(batches))]))
    losses = model.fit(batches, epochs=epochs, verbose=2).history["loss"]

axis = (figure := Figure(figsize=(6, 4), layout="constrained")).subplots()
axis.semilogy(range(1, epochs + 1), losses, "o-", label="network")
axis.axhline(still, color="k", ls=":", label="no motion at all")
axis.set(xlabel="epoch", ylabel="mean squared error (px²)", title="wedges of alumina")
axis.legend()
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
