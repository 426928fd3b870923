"""UMPA, MIST and a network on the published wattle-flower set: a file of maps each, and a figure of all.

python examples/wattle_flower.py FOLDER [--model RUN] [--out wattle] [--middle 1024]

FOLDER holds ReferenceSpeckle_Y*.tif, SAMPLE_Y*_T0.tif, DarkCurrent_Y*.tif, FF_2m.tif: docs/wattle-flower.md.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from specksim import Setup
from specksim.images import Correction, read_images
from specksim.retrieval import Retrieval, retrieve, write_retrieval

POSITIONS = 15  # of the sandpaper


def read(folder: Path, middle: int | None) -> list[np.ndarray]:
    """References and samples, corrected, (15, H, W) each; the middle of the frame where a size is given."""
    correction = Correction.read(folder / "DarkCurrent_Y*.tif", folder / "FF_2m.tif")
    images = []
    for pattern in ("ReferenceSpeckle_Y*.tif", "SAMPLE_Y*_T0.tif"):
        frames = read_images(folder / pattern)
        if len(frames) != POSITIONS:
            raise SystemExit(f"{folder / pattern}: must be {POSITIONS} images, got {len(frames)}")
        spans = [
            slice((n - middle) // 2, (n + middle) // 2) if middle else slice(None) for n in frames[0].shape
        ]
        images.append(np.stack([correction.apply(frame)[*spans] for frame in frames]))
    return images


def run(reference: np.ndarray, sample: np.ndarray, model: str | None, setup: Setup) -> dict[str, Retrieval]:
    """What each method finds, by its name and number of exposures."""
    found = {
        "umpa-15": retrieve("umpa", reference, sample, setup=setup),
        "mist-15": retrieve("mist", reference, sample, setup=setup, material="Water, Liquid"),
        "umpa-1": retrieve("umpa", reference[0], sample[0], setup=setup),
    }
    if model:
        from specksim_train import load  # takes TensorFlow with it

        found["network-1"] = load(model).predict(reference[0], sample[0], setup=setup)
    return found


def compare(found: dict[str, Retrieval], path: Path) -> None:
    """Draw dx and phase of every method on the scales of the first; print how far dx is from the first's."""
    first = found["umpa-15"]
    figure = Figure(figsize=(3.6 * len(found), 6.6), layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False)
    for column, (name, result) in enumerate(found.items()):
        for axis, key, unit, colours in zip(
            axes[:, column], ("dx", "phase"), ("px", "rad"), ("RdBu_r", "viridis"), strict=True
        ):
            low, high = np.percentile(getattr(first, key), [1, 99])
            shown = axis.imshow(getattr(result, key), colours, vmin=low, vmax=high, interpolation="nearest")
            axis.set(title=f"{name}: {key} ({unit})", xticks=[], yticks=[])
            figure.colorbar(shown, ax=axis, shrink=0.8)
        trusted = (first.quality > 0) & (result.quality > 0)
        apart = np.sqrt(np.mean((result.dx - first.dx)[trusted] ** 2))
        share = f"{100 * trusted.mean():.0f} % of the frame"
        print(f"{name}: dx is {apart:.4f} px (RMS) from that of umpa-15 on {share}")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="run folder or name of a network; none: without one")
    parser.add_argument("--out", type=Path, default=Path("wattle"), help="folder of the results")
    parser.add_argument("--middle", type=int, metavar="PX", help="side of a square in the frame's middle")
    given = parser.parse_args()
    wattle = Setup.load("imbl-25kev-wattle")
    try:
        results = run(*read(given.folder, given.middle), given.model, wattle)
        given.out.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:  # images, model or folder of the results
        raise SystemExit(f"Error: {error}") from None
    for method, retrieval in results.items():
        write_retrieval(given.out / f"{method}.h5", retrieval, wattle, overwrite=True)
    compare(results, given.out / "comparison.png")
