"""What a measured reference loses as the speckle: displaced images, against those of the sandpaper itself.

    python benchmarks/measured.py

The default preset without noise, several widths of the detector's point spread. The sandpaper's field is
recorded at rest; that image, taken for a measured reference, and the field are then displaced alike. Printed
is the RMS difference over the contrast: what the pixels cannot hold comes back in a wrong place.
"""

import numpy as np

from specksim import Setup, detector, sandpaper
from specksim.measured import sharpen
from specksim.optics import rays

SHIFTS_PX = (0.0, 0.1, 0.25, 0.5, 1.3)
PIXELS, EDGE = 512, 64


def record(field: np.ndarray, sigma_px: float, shift_px: float, mode: str) -> np.ndarray:
    """Image of a field displaced along its columns and, by 0.7 times as much, back along its rows."""
    wide = np.pad(field, EDGE, mode=mode)
    dx, dy = np.full_like(wide, 4 * shift_px), np.full_like(wide, -2.8 * shift_px)
    taps = detector.blur_taps(sigma_px, 4, deposited=True)
    return detector.expected_image(rays.deposit(wide, dx, dy), taps, 4, (PIXELS, PIXELS))


def main() -> None:
    print("displacement, px " + "".join(f"{shift:>9g}" for shift in SHIFTS_PX))
    for sigma_px in (0.3, 0.5, 0.8, 1.2):
        setup = Setup().with_values(detector__psf_sigma_px=sigma_px)
        field = sandpaper.simulate_field(setup, np.random.default_rng(0)).intensity
        measured = sharpen(record(field, sigma_px, 0.0, "wrap"), 4)
        errors = []
        for shift_px in SHIFTS_PX:
            truth = record(field, sigma_px, shift_px, "wrap")
            stray = record(measured, 0.0, shift_px, "symmetric") - truth
            errors.append(stray[20:-20, 20:-20].std() / truth.std())
        print(f"blur {sigma_px:g} px      " + "".join(f"{error:>9.4f}" for error in errors))


if __name__ == "__main__":
    main()
