"""A data set in a PyTorch training loop: a map-style data set over the file, batches, and a training.

python examples/torch_loop.py [--small] [-o torch_loop.png]        the training needs PyTorch: pip install torch
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
    """Images (2, H, W), relative to the reference's mean, and displacement (2, H, W) in px, dx first.

    With __len__ and __getitem__ it is what torch.utils.data.DataLoader asks for, worker processes included.
    """

    def __init__(self, path: Path) -> None:
        self.pairs = specksim.open_dataset(path)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        pair = self.pairs[row]
        images = np.stack([pair.reference[0], pair.sample[0]]).astype(np.float32)
        return images / images[0].mean() - 1, np.stack([pair.dx, pair.dy])


def train(data: Pairs, epochs: int) -> list[float]:
    """Mean squared error of each epoch, px²."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    blocks = [(nn.Conv2d(depth, 16, 5, padding=2), nn.ReLU()) for depth in (2, 16, 16)]
    model = nn.Sequential(*(layer for block in blocks for layer in block), nn.Conv2d(16, 2, 1))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    means = []
    for epoch in range(epochs):
        losses = []
        for images, displacement in torch.utils.data.DataLoader(data, batch_size=4, shuffle=True):
            loss = nn.functional.mse_loss(model(images), displacement)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        means.append(float(np.mean(losses)))
        print(f"epoch {epoch + 1}: {means[-1]:.5f} px²")
    return means


parser = argparse.ArgumentParser(description="Train a PyTorch model on a data set.")
parser.add_argument("--small", action="store_true", help="next to no training, to see that it runs")
parser.add_argument("-o", "--out", default="torch_loop.png", help="the picture")
given = parser.parse_args()
side, n, epochs = (32, 4, 2) if given.small else (64, 240, 15)
setup = specksim.Setup.load("imbl-28kev").with_values(detector__rows=side, detector__columns=side)

with tempfile.TemporaryDirectory() as folder:
    file = specksim.generate(Path(folder) / "wedges.h5", setup, material="al2o3", geometries="wedge", n=n)
    data = Pairs(file)
    still = float(np.mean([np.square(data[row][1]).mean() for row in range(len(data))]))
    losses = train(data, epochs) if find_spec("torch") else []
if not losses:
    print("PyTorch is missing, nothing is trained: pip install torch", file=sys.stderr)

axis = (figure := Figure(figsize=(6, 4), layout="constrained")).subplots()
axis.semilogy(range(1, len(losses) + 1), losses, "o-", label="network" if losses else "PyTorch is missing")
axis.axhline(still, color="k", ls=":", label="no motion at all")
axis.set(xlabel="epoch", ylabel="mean squared error (px²)", title="wedges of alumina", ylim=(still / 100, 2 * still))
axis.legend()
figure.savefig(given.out, dpi=80)
print(f"wrote {given.out}")
