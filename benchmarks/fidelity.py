"""Rays against waves: how far ray optics is from the Fresnel propagation of sandpaper and object together.

    python benchmarks/fidelity.py

Prints, for each object, RMS(rays − waves) over the speckle's contrast: in valid pixels, inside the object,
and outside of `valid`, where it is expected to fail; beside them the same inside the object with no shift.
"""

import numpy as np

from specksim import Setup, detector, phantoms, sandpaper, seeds
from specksim.grid import Grid
from specksim.materials import refractive_index
from specksim.optics import rays, refraction, waves
from specksim.tracing import trace_object
from specksim.validity import valid_mask

_BODIES = {
    "sphere, 0.5 mm": {"shape": "sphere", "x_um": 100.0, "y_um": -50.0, "radius_um": 500.0},
    "fibre, 0.3 mm": {
        "shape": "cylinder",
        "x_um": 0.0,
        "y_um": 0.0,
        "radius_um": 300.0,
        "angle_rad": 0.6,
        "tilt_rad": 0.0,
    },
}


def propagated(setup: Setup, wave: np.ndarray) -> np.ndarray:
    """Intensity on the detector, on the ray grid."""
    wave = waves.fresnel_propagate(wave, setup.wave_pitch_m, setup.effective_distance_m, setup.wavelength_m)
    return waves.binned_intensity(wave, setup.waves_per_ray)


def compare(setup: Setup, mask: np.ndarray, body: dict[str, object], material: str) -> dict[str, float]:
    """Errors of the ray image of one body."""
    scene = {"geometry": "sphere", "material": material, "bodies": [body]}
    grid = Grid(*mask.shape, setup.wave_pitch_m)
    delta, beta = refractive_index(material, setup.beam.energy_kev)
    thickness = phantoms.thickness(scene, grid)[material]
    behind = mask * waves.transmitted_wave(thickness, delta, beta, setup.wavenumber_per_m)

    paths, margin_px = trace_object(setup, scene)
    dx, dy = refraction.displacement(paths.refraction, setup.effective_distance_m, setup.ray_pitch_m)
    transmission = refraction.transmitted_intensity(paths.absorption, setup.wavenumber_per_m)
    shape, oversampling = (setup.detector.rows, setup.detector.columns), setup.numerics.oversampling

    def image(light: np.ndarray, deposited: bool = False) -> np.ndarray:
        blur = detector.blur_taps(setup.blur_px, oversampling, deposited)
        return detector.expected_image(light, blur, oversampling, shape).astype(np.float64)

    field = propagated(setup, mask)
    mean = field.mean()
    start = [(whole - part) // 2 for whole, part in zip(field.shape, dx.shape, strict=True)]
    region = tuple(slice(first, first + size) for first, size in zip(start, dx.shape, strict=True))
    speckle = np.ascontiguousarray(field[region]) / mean
    by_waves = image(propagated(setup, behind)[region] / mean)
    by_rays = image(rays.deposit(speckle * transmission, dx, dy), deposited=True)
    reference = image(speckle)
    attenuation = detector.bin_mean(transmission, oversampling, shape)
    valid = valid_mask(setup, dx, dy, margin_px).astype(bool)
    inside = valid & (attenuation < 1)

    def error(difference: np.ndarray, where: np.ndarray) -> float:
        return float(np.sqrt(np.mean(difference[where] ** 2)) / reference.std())

    return {
        "valid": error(by_rays - by_waves, valid),
        "inside": error(by_rays - by_waves, inside),
        "not valid": error(by_rays - by_waves, ~valid),
        "no shift": error(reference * attenuation - by_waves, inside),
    }


def main() -> None:
    setup = Setup()
    mask = sandpaper.wave_behind(setup, seeds.field_rng(0, "evaluation", 0))
    columns = ("valid", "inside", "not valid", "no shift")
    print(f"{'':<24}" + "".join(f"{name:>11}" for name in columns))
    for material in ("nylon", "al2o3"):
        for name, body in _BODIES.items():
            errors = compare(setup, mask, body, material)
            print(f"{material + ' ' + name:<24}" + "".join(f"{errors[column]:>11.4f}" for column in columns))


if __name__ == "__main__":
    main()
