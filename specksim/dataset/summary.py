"""What a data set holds, in words and numbers."""

from collections import Counter

import numpy as np

from specksim.assessment import speckle_size_px, visibility
from specksim.dataset.reader import SpeckleDataset

_LOOKED_AT = 32


def summarise(dataset: SpeckleDataset) -> dict[str, str]:
    """Name and value of each line of `specksim info`.

    Speckle and displacement are measured on up to 32 pairs, evenly spread over the data set.
    """
    request, provenance = dataset.request, dataset.provenance()
    rows = evenly(len(dataset), _LOOKED_AT)
    speckle = np.array([_speckle(dataset.read("reference", row)[0]) for row in rows])
    counts, contrast, height, width = speckle.mean(axis=0)
    displacement = np.array([np.hypot(dataset.read("dx", row), dataset.read("dy", row)) for row in rows])
    moved = displacement[displacement > 0] if displacement.any() else np.zeros(1)
    valid = np.mean([dataset.read("valid", row).mean() for row in rows])
    relative = dataset.read("reference", 0).dtype == np.float32
    setup = request.setup
    return {
        "file": f"{dataset.path} ({dataset.path.stat().st_size / 1e6:.1f} MB)",
        "pairs": f"{len(dataset)} of {request.steps} × {setup.detector.rows} × {setup.detector.columns}",
        "materials": _tally(dataset.column("material")),
        "geometries": _tally(dataset.column("geometry")),
        "split, seed": f"{request.split}, {request.seed}",
        "reference mean": f"{counts:.4g} {'(relative)' if relative else 'counts'}",
        "speckle visibility": f"{contrast:.3f} (standard deviation / mean, without noise)",
        "speckle width": f"{height:.2f} × {width:.2f} px (FWHM of the autocorrelation, y × x)",
        "displacement": (
            f"median {np.median(moved):.3g}, p95 {np.percentile(moved, 95):.3g}, max {moved.max():.3g} px "
            f"where there is an object, {100 * moved.size / displacement.size:.0f} % of all pixels"
        ),
        "valid pixels": f"{100 * valid:.1f} %",
        "optical constants": "; ".join(
            f"{name}: δ {delta:.4e}, β {beta:.4e}"
            for name, delta, beta in zip(
                provenance["materials"], provenance["delta"], provenance["beta"], strict=True
            )
        ),
        "versions": ", ".join(f"{name} {number}" for name, number in provenance["versions"].items()),
        "written": provenance["start_time"],
        "content hash": provenance["content_hash"],
        "statistics from": f"{len(rows)} pairs",
    }


def evenly(length: int, most: int) -> list[int]:
    """Up to `most` rows, evenly spread over a data set of some length."""
    return np.unique(np.linspace(0, length - 1, min(most, length)).astype(int)).tolist()


def photon_noise(reference: np.ndarray) -> float:
    """Variance of the noise in a reference of a data set: counts are photons, float images have none."""
    return 0.0 if reference.dtype == np.float32 else float(reference.mean())


def _speckle(reference: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, visibility and size along y and x of a reference; photon noise taken off."""
    noise = photon_noise(reference)
    return (float(reference.mean()), visibility(reference, noise), *speckle_size_px(reference, noise))


def _tally(names: np.ndarray) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).items())
