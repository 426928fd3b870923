"""Where the time of `specksim generate` goes, in F: one 1024² FFT round trip (complex64, one thread).

    python benchmarks/generation.py

Every figure is CPU time, the best of several runs in this one process, so that the ratios hold on a noisy
machine.
"""

import time
from collections.abc import Callable

import numpy as np
import scipy.fft

from specksim import Setup, detector, forward, grains, phantoms, sandpaper, seeds, tracing, validity
from specksim.materials import refractive_index
from specksim.memory import keep_freed_memory
from specksim.optics import waves


def best_ms(work: Callable[[], object], runs: int = 7) -> float:
    """Shortest of several runs, ms, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def yardstick_ms(side: int = 1024) -> float:
    wave = np.ones((side, side), np.complex64)
    return best_ms(lambda: scipy.fft.ifft2(scipy.fft.fft2(wave), overwrite_x=True))


def field_steps(setup: Setup) -> dict[str, float]:
    """Milliseconds of each step of a sandpaper field."""
    shape = sandpaper.field_shape(setup)
    size_m = (shape[0] * setup.ray_pitch_m, shape[1] * setup.ray_pitch_m)
    fine = (shape[0] * setup.waves_per_ray, shape[1] * setup.waves_per_ray)
    drawn = grains.draw_grains(setup, size_m, np.random.default_rng(0))
    thickness = grains.project_grains(drawn, fine)
    delta, beta = refractive_index(setup.diffuser.material, setup.beam.energy_kev)
    k, distance_m = setup.wavenumber_per_m, setup.effective_distance_m
    wave = waves.transmitted_wave(thickness, delta, beta, k)
    return {
        "draw grains": best_ms(lambda: grains.draw_grains(setup, size_m, np.random.default_rng(0)), 3),
        "project grains": best_ms(lambda: grains.project_grains(drawn, fine), 3),
        "exponential": best_ms(lambda: waves.transmitted_wave(thickness, delta, beta, k), 3),
        "propagate": best_ms(
            lambda: waves.propagate_in_place(wave, setup.wave_pitch_m, distance_m, setup.wavelength_m), 3
        ),
        "intensity": best_ms(lambda: waves.binned_intensity(wave, setup.waves_per_ray), 3),
        "whole field": best_ms(lambda: sandpaper.simulate_field(setup, np.random.default_rng(0)), 3),
    }


def pair_steps(setup: Setup, geometry: str) -> dict[str, float]:
    """Milliseconds of each step of a pair in front of a given field."""
    field = sandpaper.simulate_field(setup, seeds.field_rng(0, "training", 0), waves=True)
    scene_rng, crop_rng, noise_rng = seeds.pair_rngs(0, "training", 0)
    scene = phantoms.draw_scene(geometry, "nylon", setup, scene_rng)
    thickness_m, margin_px = tracing.trace_object(setup, scene)
    cells = tuple(
        (size + 2 * margin_px) * setup.numerics.oversampling
        for size in (
            setup.detector.rows,
            setup.detector.columns,
        )
    )
    (place,) = sandpaper.draw_places(field, cells, 1, crop_rng)
    speckle = sandpaper.cut(field.intensity, place, cells)
    oversampling, shape = setup.numerics.oversampling, setup.detector.shape
    blur = detector.blur_taps(setup.blur_px, oversampling, deposited=True)
    image = detector.expected_image(speckle, blur, oversampling, shape)
    truth = tracing.Truth.empty(setup, cells)
    carried = tracing.Carried.start(field, place, speckle)
    return {
        "draw scene": best_ms(
            lambda: phantoms.draw_scene(geometry, "nylon", setup, seeds.pair_rngs(0, "training", 0)[0])
        ),
        "thickness": best_ms(lambda: tracing.trace_object(setup, scene)),
        "cut speckle": best_ms(lambda: sandpaper.cut(field.intensity, place, cells)),
        "displacement, transmission": best_ms(lambda: tracing.trace_rays(setup, thickness_m, None)),
        "… and labels": best_ms(lambda: tracing.trace_rays(setup, thickness_m, None, truth)),
        "… and deposit": best_ms(lambda: tracing.trace_rays(setup, thickness_m, None, truth, carried)),
        "blur and bin, twice": 2
        * best_ms(lambda: detector.expected_image(speckle, blur, oversampling, shape)),
        "photon noise, twice": 2 * best_ms(lambda: detector.expose(image, setup, noise_rng)),
        "valid mask": best_ms(lambda: validity.valid_pixels(setup, truth.ranges, margin_px)),
        "whole pair": best_ms(lambda: forward.simulate_pair(setup, scene, field, crop_rng, noise_rng)),
        "whole pair, waves": best_ms(
            lambda: forward.simulate_pair(setup, scene, field, crop_rng, noise_rng, propagation="waves"), 3
        ),
    }


def main() -> None:
    keep_freed_memory()
    setup = Setup()
    unit = yardstick_ms()
    large = yardstick_ms(2048)
    print(f"F = {unit:.1f} ms; a round trip of 2048²: {large:.1f} ms")
    for title, steps in (
        ("field", field_steps(setup)),
        *((f"pair, {geometry}", pair_steps(setup, geometry)) for geometry in phantoms.TRAINING),
    ):
        print(f"\n{title:<28}{'ms':>8}{'F':>8}")
        for name, milliseconds in steps.items():
            print(f"  {name:<26}{milliseconds:>8.1f}{milliseconds / unit:>8.2f}")
        if "whole pair, waves" in steps:
            print(f"  waves, over a round trip of 2048²: {steps['whole pair, waves'] / large:.2f}")


if __name__ == "__main__":
    main()
