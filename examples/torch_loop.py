"""A data set in a PyTorch training loop.

python examples/torch_loop.py [--small] [-o torch_loop.png]            needs PyTorch: pip install torch
"""

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import specksim


class Pairs:
    """What DataLoader asks for: channels and displacement (dx, dy) in px, both (2, H, W)."""

    def __init__(self, path: Path) -> None:
        self.pairs = specksim.open_dataset(path)  # may be sent to the loader's worker processes

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        pair = self.pairs[row]
        r, s = (image[0] / image.mean() for image in (pair.reference, pair.sample))
        gradient_y, gradient_x = np.gradient(r)  # moved by a small d, the reference loses d·∇r
        products = np.stack([(r - s) * gradient_x, (r - s) * gradient_y]) / np.mean(gradient_x**2)
        return products.astype(np.float32), np.stack([pair.dx, pair.dy])


def train(data: Pairs, epochs: int) -> list[float]:
    """Mean squared error of each epoch, px²."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    blocks = [(nn.Conv2d(depth, 8, 5, padding=2), nn.ReLU()) for depth in (2, 8, 8)]
    model = nn.Sequential(*(layer for block in blocks for layer in block), nn.Conv2d(8, 2, 1))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = np.zeros(epochs)
    for epoch in range(epochs):
        for products, displacement in torch.utils.data.DataLoader(data, batch_size=4, shuffle=True):
            loss = nn.functional.mse_loss(model(products), displacement)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses[epoch] += 4 * loss.item() / len(data)
        print(f"epoch {epoch + 1}: {losses[epoch]:.5f} px²")
    return losses.tolist()


parser = argparse.ArgumentParser(description="Train a PyTorch model on a data set.")
parser.add_argument("--small", action="store_true", help="next to no training, to see that it runs")
parser.add_argument("-o", "--out", default="torch_loop.png", help="the picture")
given = parser.parse_args()
side, n, epochs = (32, 4, 2) if given.small else (64, 150, 10)
setup = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "wedges.h5"
    pairs = Pairs(specksim.generate(path, setup, material="al2o3", geometries="wedge", n=n))
    still = float(np.mean([np.square(pairs[row][1]).mean() for row in range(n)]))
    errors = train(pairs, epochs) if find_spec("torch") else []
if not errors:
    print("PyTorch is missing, nothing is trained: pip install torch", file=sys.stderr)

axis = (figure := Figure(figsize=(6, 4), layout="constrained")).subplots()
axis.semilogy(range(1, len(errors) + 1), errors, "o-", label="network" if errors else "PyTorch is missing")
axis.axhline(still, color="k", ls=":", label="no motion at all")
axis.set(xlabel="epoch", ylabel="mean squared error (px²)", title="wedges of alumina")
axis.legend()
figure.savefig(given.out, dpi=80)
