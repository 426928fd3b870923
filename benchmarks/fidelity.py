"""Rays against waves: how far ray optics is from the Fresnel propagation of sandpaper and object together.

    python benchmarks/fidelity.py                            # the table of docs/fidelity.md
    python benchmarks/fidelity.py --map docs/fidelity.png    # where rays fail

Prints, for each object, RMS(rays − waves) over the speckle's contrast: in valid pixels, but those that rays
from flagged pixels reach; of these inside the object, beside the same with no shift at all and the RMS
displacement there; outside of `valid`, where it is expected to be large; and in valid pixels next to a jump
of the label by more than 0.1 px. A star marks a limit that is broken. A second table holds the same in valid
pixels by the variation of the label within a pixel and its neighbours, behind blocks with spherical voids.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from specksim import Setup, phantoms, seeds
from specksim.figures import fidelity
from specksim.forward import SpecklePair, simulate_pair
from specksim.optics import rays
from specksim.sandpaper import SpeckleField, simulate_field

_RADII_UM = (100.0, 300.0, 1000.0)
_DISTANCES_M = (0.5, 1.0, 2.0)
_PIXELS_UM = (6.5, 9.9)
_LIMITS = {"nylon": 0.035, "al2o3": 0.07}
_JUMP_PX = 0.1
_VARIATIONS_PX = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
_BLOCKS = 8


@dataclass(frozen=True)
class Errors:
    """RMS(rays − waves) over the contrast of the reference, and the displacement it is to be seen beside."""

    valid: float
    inside: float
    still: float
    shift_px: float
    invalid: float
    jumps: float


def bench(distance_m: float, pixel_um: float, side: int = 192) -> tuple[Setup, SpeckleField]:
    """A beamline without noise, and a field of its own."""
    setup = Setup().with_values(
        propagation__sample_to_detector_m=distance_m,
        detector__pixel_size_um=pixel_um,
        detector__rows=side,
        detector__columns=side,
        detector__photons_per_pixel=float("inf"),
    )
    return setup, simulate_field(setup, seeds.field_rng(0, "evaluation", 0), waves=True)


def body(shape: str, radius_um: float, material: str, frame_um: float) -> dict[str, object]:
    """A sphere or a fibre in the frame's centre, or with its rim there where it is too large for that."""
    off = max(0.0, radius_um - 0.35 * frame_um)
    turned = {"angle_rad": 0.6, "tilt_rad": 0.0} if shape == "cylinder" else {}
    placed = {"shape": shape, "x_um": 13.0 - 0.8 * off, "y_um": -7.0 + 0.6 * off, "radius_um": radius_um}
    return {"geometry": "sphere", "material": material, "bodies": [{**placed, **turned}]}


def pair(setup: Setup, field: SpeckleField, scene: dict[str, object], propagation: str) -> SpecklePair:
    """The pair of a scene at one place of the field, whatever the propagation."""
    crop, noise = np.random.default_rng(1), np.random.default_rng(2)
    return simulate_pair(setup, scene, field, crop, noise, propagation=propagation)


def unflagged(pair: SpecklePair) -> np.ndarray:
    """Valid pixels of the sample that no ray from a flagged pixel reaches, to within a pixel."""
    reached = rays.deposit(1.0 - pair.valid, pair.dx, pair.dy)
    return (pair.valid == 1) & (ndimage.maximum_filter(reached, 3) < 1e-3)


def compare(by_rays: SpecklePair, by_waves: SpecklePair) -> Errors:
    """Errors of the image by rays."""
    reference = by_rays.reference[0].astype(np.float64)
    difference = by_rays.sample[0] - by_waves.sample[0].astype(np.float64)
    kept, valid = unflagged(by_rays), by_rays.valid == 1
    inside = kept & (by_rays.transmission < 1)
    jump = _variation(by_rays) > _JUMP_PX

    def rms(values: np.ndarray, where: np.ndarray) -> float:
        return float(np.sqrt(np.mean(values[where] ** 2))) if where.any() else float("nan")

    contrast = reference.std()
    return Errors(
        valid=rms(difference, kept) / contrast,
        inside=rms(difference, inside) / contrast,
        still=rms(reference * by_rays.transmission - by_waves.sample[0], inside) / contrast,
        shift_px=rms(np.hypot(by_rays.dx, by_rays.dy), inside),
        invalid=rms(difference, ~valid) / contrast,
        jumps=rms(difference, kept & jump) / contrast,
    )


def _variation(pair: SpecklePair) -> np.ndarray:
    """How much the label varies within a pixel and its neighbours, pixels."""
    spread = (ndimage.maximum_filter(d, 3) - ndimage.minimum_filter(d, 3) for d in (pair.dx, pair.dy))
    return np.maximum(*spread)


def print_table() -> None:
    """One line an object; a star where a limit is broken."""
    names = ("valid", "inside", "no shift", "shift (px)", "not valid", "at jumps")
    print("| | z (m) | pixel (µm) | " + " | ".join(names) + " |")
    print("|---" * (3 + len(names)) + "|")
    for distance_m in _DISTANCES_M:
        for pixel_um in _PIXELS_UM:
            setup, field = bench(distance_m, pixel_um)
            for material, limit in _LIMITS.items():
                for shape in ("sphere", "cylinder"):
                    for radius_um in _RADII_UM:
                        scene = body(shape, radius_um, material, setup.detector.columns * pixel_um)
                        errors = compare(*(pair(setup, field, scene, mode) for mode in ("rays", "waves")))
                        print(_row(errors, f"{material} {shape}, {radius_um / 1000:g} mm", setup, limit))


def print_jumps() -> None:
    """Error by the variation of the label, behind blocks: their edges are jumps of the slope."""
    setup, field = bench(2.0, 9.9)
    names = [f"{low:g} to {high:g} px" for low, high in pairwise(_VARIATIONS_PX)]
    print("\n| label varies by | " + " | ".join(names) + " |")
    print("|---" * (1 + len(names)) + "|")
    for material in _LIMITS:
        errors, variations = [], []
        for seed in range(_BLOCKS):
            rng = np.random.default_rng(seed)
            scene = phantoms.draw_scene("spheres-in-block", material, setup, rng)
            by_rays, by_waves = (pair(setup, field, scene, mode) for mode in ("rays", "waves"))
            kept = unflagged(by_rays)
            difference = (by_rays.sample - by_waves.sample)[0][kept] / by_rays.reference.std()
            errors.append(difference)
            variations.append(_variation(by_rays)[kept])
        error, variation = np.concatenate(errors), np.concatenate(variations)
        cells = []
        for low, high in pairwise(_VARIATIONS_PX):
            among = error[(variation >= low) & (variation < high)]
            share = 100 * among.size / error.size
            cells.append(f"{np.sqrt(np.mean(among**2)):.3f} ({share:.2g} %)" if share else "–")
        print(f"| {material} | " + " | ".join(cells) + " |")


def _row(errors: Errors, name: str, setup: Setup, limit: float) -> str:
    values = (errors.valid, errors.inside, errors.still, errors.shift_px, errors.invalid, errors.jumps)
    cells = [f"{setup.propagation.sample_to_detector_m:g}", f"{setup.detector.pixel_size_um:g}"]
    cells += ["–" if np.isnan(value) else f"{value:.3f}" for value in values]
    broken = errors.valid > limit or (errors.shift_px >= 0.15 and errors.inside > errors.still / 3)
    title = name.replace("cylinder", "fibre") + (" *" if broken else "")
    return f"| {title} | {' | '.join(cells)} |"


def draw_map(path: str) -> None:
    """Picture of rays, waves and their difference behind an Al2O3 sphere, where caustics are strongest."""
    setup, field = bench(2.0, 9.9)
    scene = body("sphere", 600.0, "al2o3", setup.detector.columns * 9.9)
    by_rays, by_waves = (pair(setup, field, scene, propagation) for propagation in ("rays", "waves"))
    fidelity(by_rays, by_waves, unflagged(by_rays), setup, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--map", metavar="PNG", help="draw the map instead")
    path = parser.parse_args().map
    if path:
        draw_map(path)
    else:
        print_table()
        print_jumps()


if __name__ == "__main__":
    main()
