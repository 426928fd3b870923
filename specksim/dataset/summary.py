"""What a data set holds, in words and numbers."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from specksim.assessment import speckle_size_px, visibility
from specksim.dataset.reader import SpeckleDataset
from specksim.detector import noise_variance, photon_counts, saturation_level
from specksim.setups import Setup

_LOOKED_AT = 32


@dataclass(frozen=True)
class Statistics:
    """Speckle and displacement of up to 32 pairs, evenly spread over a data set.

    Attributes
    ----------
    pairs : int
        How many were looked at.
    mean, visibility, width_y, width_x : float
        Of the references, without noise: mean (counts, or relative), standard deviation over mean, FWHM of
        the autocorrelation along rows and columns (pixels).
    median_px, p95_px, largest_px : float
        Of |d| where there is any, pixels; 0 where there is none.
    moved, valid : float
        Share of all pixels that are displaced, and that are valid.
    """

    pairs: int
    mean: float
    visibility: float
    width_y: float
    width_x: float
    median_px: float
    p95_px: float
    largest_px: float
    moved: float
    valid: float


def measure(dataset: SpeckleDataset) -> Statistics:
    """Speckle and displacement of a data set."""
    rows = evenly(len(dataset), _LOOKED_AT)
    speckle = np.array([_speckle(dataset, row) for row in rows])
    shift = np.array([np.hypot(dataset.read("dx", row), dataset.read("dy", row)) for row in rows])
    moved = shift[shift > 0] if shift.any() else np.zeros(1)
    mean, contrast, width_y, width_x = speckle.mean(axis=0).tolist()
    median, p95, largest = np.percentile(moved, [50, 95, 100]).tolist()
    return Statistics(
        pairs=len(rows),
        mean=mean,
        visibility=contrast,
        width_y=width_y,
        width_x=width_x,
        median_px=median,
        p95_px=p95,
        largest_px=largest,
        moved=float(np.mean(shift > 0)),
        valid=float(np.mean([dataset.read("valid", row).mean() for row in rows])),
    )


def summarise(dataset: SpeckleDataset) -> dict[str, str]:
    """Name and value of each line of `specksim info`."""
    request, provenance = dataset.request, dataset.provenance()
    found = measure(dataset)
    relative = dataset.read("reference", 0).dtype == np.float32
    setup = request.setup
    return {
        "file": f"{dataset.path} ({dataset.path.stat().st_size / 1e6:.1f} MB)",
        "pairs": f"{len(dataset)} of {request.steps} × {setup.detector.rows} × {setup.detector.columns}",
        "materials": _tally(dataset.column("material")),
        "geometries": _tally(dataset.column("geometry")),
        "split, seed": f"{request.split}, {request.seed}",
        "propagation": request.propagation,
        "beam": _beam(setup),
        "sandpaper": f"measured, SHA-256 {request.reference}" if request.reference else "simulated",
        "reference mean": f"{found.mean:.4g} {'(relative)' if relative else 'photons'}",
        "speckle visibility": f"{found.visibility:.3f} (standard deviation / mean, without noise)",
        "speckle width": (
            f"{found.width_y:.2f} × {found.width_x:.2f} px (FWHM of the autocorrelation, y × x)"
        ),
        "displacement": (
            f"median {found.median_px:.3g}, p95 {found.p95_px:.3g}, max {found.largest_px:.3g} px "
            f"where there is an object, {100 * found.moved:.0f} % of all pixels"
        ),
        "valid pixels": f"{100 * found.valid:.1f} %",
        "saturated pixels": _saturated(dataset, evenly(len(dataset), _LOOKED_AT)),
        "optical constants": "; ".join(
            f"{name}: δ {delta:.4e}, β {beta:.4e}"
            for name, delta, beta in zip(
                provenance["materials"], provenance["delta"], provenance["beta"], strict=True
            )
        ),
        "versions": ", ".join(f"{name} {number}" for name, number in provenance["versions"].items()),
        "written": provenance["start_time"],
        "content hash": provenance["content_hash"],
        "statistics from": f"{found.pairs} pairs",
    }


def evenly(length: int, most: int) -> list[int]:
    """Up to `most` rows, evenly spread over a data set of some length."""
    return np.unique(np.linspace(0, length - 1, min(most, length)).astype(int)).tolist()


def reference_photons(dataset: SpeckleDataset, row: int) -> tuple[np.ndarray, float]:
    """First reference of a pair in photons (or relative, without noise), and the variance of its noise."""
    setup = dataset.request.setup
    photons = photon_counts(dataset.read("reference", row)[0], setup)
    return photons, noise_variance(float(photons.mean()), setup)


def _speckle(dataset: SpeckleDataset, row: int) -> tuple[float, float, float, float]:
    """Mean, visibility and size along y and x of a reference; noise taken off."""
    photons, noise = reference_photons(dataset, row)
    return (float(photons.mean()), visibility(photons, noise), *speckle_size_px(photons, noise))


def _beam(setup: Setup) -> str:
    """Energy of the beam, in words."""
    energy = f"{setup.beam.energy_kev:.4g} keV"
    lines = len(setup.beam.spectrum)
    return f"{lines} lines, effective energy {energy}" if lines else energy


def _saturated(dataset: SpeckleDataset, rows: list[int]) -> str:
    """Share of saturated pixels of both images of some pairs."""
    level = saturation_level(dataset.request.setup)
    if level is None:
        return "none: the detector has no limit"
    images = [dataset.read(name, row) for row in rows for name in ("reference", "sample")]
    full, pixels = (sum(int(np.sum(image >= low)) for image in images) for low in (level, 0))
    return f"{full} of {pixels} ({100 * full / pixels:.2g} %), at a grey value of {level}"


def _tally(names: np.ndarray) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).items())
