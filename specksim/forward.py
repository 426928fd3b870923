"""The forward model: one scene in, one labelled pair of images out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from specksim import detector, phantoms, seeds
from specksim.compiled import kernel
from specksim.materials import refractive_index
from specksim.optics import rays, refraction
from specksim.sandpaper import SpeckleField, crop_field, simulate_field
from specksim.setups import Setup

_LEAST_MARGIN_PX = 8
_STEEP_LABEL_PX = 0.3  # variation of the label beyond which ray optics is not trusted


@dataclass(frozen=True)
class SpecklePair:
    """A reference and a sample image with their exact ground truth.

    Attributes
    ----------
    reference, sample : (K, H, W) arrays
        Counts (uint16 or uint32), or float32 relative to the reference's mean without noise; K positions
        of the sandpaper.
    dx, dy : (H, W) float32
        Displacement along columns and rows, detector pixels, from reference to sample: what is at x in the
        reference is found at x + d(x) in the sample. Means over each pixel.
    phase : (H, W) float32
        Phase shift of the object, rad, negative in matter.
    transmission : (H, W) float32
        Intensity transmission of the object.
    valid : (H, W) uint8
        0 where ray optics is not to be trusted: around rims.
    scene : dict
        Everything drawn, enough to simulate the pair again (with the seed): geometry, material, bodies.
    index : int
        Index of the pair in its data set.
    step_offset_px : (K, 2) float64
        Offset (rows, columns) of the sandpaper from its first position, detector pixels.
    """

    reference: np.ndarray
    sample: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    phase: np.ndarray
    transmission: np.ndarray
    valid: np.ndarray
    scene: dict[str, Any]
    index: int
    step_offset_px: np.ndarray


def simulate(
    setup: Setup,
    *,
    material: str = "nylon",
    geometry: str = "sphere",
    seed: int = 0,
    index: int = 0,
    split: str = "training",
) -> SpecklePair:
    """Simulate one labelled pair: pair `index` of the data set of this seed, split, material and geometry.

    Parameters
    ----------
    setup : Setup
    material : str
        See `specksim.refractive_index`.
    geometry : str
        Name of a geometry, see `specksim.phantoms.geometry_names`.
    seed : int
        Seed of the data set, >= 0.
    index : int
        Index of the pair in the data set, >= 0.
    split : {"training", "validation", "evaluation"}
        Splits never share a sandpaper.

    Returns
    -------
    SpecklePair

    Raises
    ------
    ValueError
        If the material, geometry or split is unknown, or seed or index is negative.
    """
    if index < 0:
        raise ValueError(f"index must be >= 0, got {index}")
    refractive_index(material, setup.beam.energy_kev)
    field = simulate_field(setup, seeds.field_rng(seed, split, index // setup.numerics.pairs_per_field))
    scene_rng, crop_rng, noise_rng = seeds.pair_rngs(seed, split, index)
    scene = phantoms.draw_scene(geometry, material, setup, scene_rng)
    return simulate_pair(setup, scene, field, crop_rng, noise_rng, index=index)


def simulate_pair(
    setup: Setup,
    scene: dict[str, Any],
    field: SpeckleField,
    crop_rng: np.random.Generator,
    noise_rng: np.random.Generator,
    *,
    index: int = 0,
    steps: int = 1,
) -> SpecklePair:
    """Simulate the images and the truth of one scene in front of a speckle field, by ray optics.

    Parameters
    ----------
    setup : Setup
    scene : dict
        See `phantoms.draw_scene`.
    field : SpeckleField
    crop_rng, noise_rng : numpy.random.Generator
        Place, turn and steps of the sandpaper; photon noise.
    index : int
        Kept in the pair.
    steps : int
        Positions of the sandpaper, K.

    Returns
    -------
    SpecklePair
    """
    paths, margin_px = trace_object(setup, scene)
    shape, oversampling = (setup.detector.rows, setup.detector.columns), setup.numerics.oversampling
    dx, dy = refraction.displacement(paths.refraction, setup.effective_distance_m, setup.ray_pitch_m)
    transmission = refraction.transmitted_intensity(paths.absorption, setup.wavenumber_per_m)
    phase = refraction.phase_shift(paths.refraction, setup.wavenumber_per_m)

    reference_blur = detector.blur_taps(setup.blur_px, oversampling, deposited=False)
    sample_blur = detector.blur_taps(setup.blur_px, oversampling, deposited=True)
    speckles, offsets = crop_field(field, transmission.shape, steps, crop_rng)
    images: dict[str, list[np.ndarray]] = {"reference": [], "sample": []}
    for speckle in speckles:
        sample = rays.deposit(speckle * transmission, dx, dy)
        for name, light, blur in (("reference", speckle, reference_blur), ("sample", sample, sample_blur)):
            expected = detector.expected_image(light, blur, oversampling, shape)
            images[name].append(detector.expose(expected, setup.detector.photons_per_pixel, noise_rng))

    def mean(cells: np.ndarray) -> np.ndarray:
        return detector.bin_mean(cells, oversampling, shape)

    return SpecklePair(
        reference=np.stack(images["reference"]),
        sample=np.stack(images["sample"]),
        dx=mean(dx) / np.float32(oversampling),
        dy=mean(dy) / np.float32(oversampling),
        phase=mean(phase),
        transmission=mean(transmission),
        valid=valid_mask(setup, dx, dy, margin_px),
        scene=scene,
        index=index,
        step_offset_px=offsets / oversampling,
    )


@dataclass(frozen=True)
class OpticalPaths:
    """δT and βT summed over a scene's materials, (H + 1, W + 1) float32, m, at the ray cells' corners."""

    refraction: np.ndarray
    absorption: np.ndarray


def optical_paths(setup: Setup, scene: Mapping[str, Any], margin_px: int) -> OpticalPaths:
    """Optical paths of a scene over the frame and `margin_px` detector pixels around it."""
    nodes = setup.ray_nodes(margin_px)
    refraction_path, absorption_path = np.zeros((2, *nodes.shape), np.float32)
    for material, thickness_m in phantoms.thickness(scene, nodes).items():
        delta, beta = refractive_index(material, setup.beam.energy_kev)
        refraction_path += np.float32(delta) * thickness_m
        absorption_path += np.float32(beta) * thickness_m
    return OpticalPaths(refraction_path, absorption_path)


def trace_object(setup: Setup, scene: Mapping[str, Any]) -> tuple[OpticalPaths, int]:
    """Optical paths over the frame and all from where light may reach it, with that margin in pixels.

    Raises
    ------
    ValueError
        If rays are displaced by more than the frame's longer side.
    """
    limit = max(setup.detector.rows, setup.detector.columns)
    blur = math.ceil(4 * setup.blur_px) + 2
    margin_px = max(_LEAST_MARGIN_PX, blur)
    while True:
        paths = optical_paths(setup, scene, margin_px)
        farthest = _farthest_px(setup, paths)
        needed = math.ceil(farthest) + blur
        if needed <= margin_px:
            return paths, margin_px
        if farthest > limit:
            raise ValueError(
                f"geometry {scene['geometry']!r} in {scene['material']} displaces rays by {farthest:.0f} px, "
                f"more than the frame's {limit} px: its walls are too steep along the beam for ray optics"
            )
        margin_px = needed


def _farthest_px(setup: Setup, paths: OpticalPaths) -> float:
    """Largest displacement along an axis, detector pixels."""
    steepest = max(float(np.abs(np.diff(paths.refraction, axis=axis)).max()) for axis in (0, 1))
    return steepest / setup.ray_pitch_m * setup.effective_distance_m / setup.object_pixel_m


def valid_mask(setup: Setup, dx: np.ndarray, dy: np.ndarray, margin_px: int) -> np.ndarray:
    """Where ray optics can be trusted.

    Parameters
    ----------
    setup : Setup
    dx, dy : (H', W') float32
        Displacement on the ray grid, in its cells, over the frame and its margin.
    margin_px : int
        The margin, detector pixels.

    Returns
    -------
    (H, W) uint8
        0 where the displacement varies by more than 0.3 px within a pixel and its eight neighbours, and
        within 3 · max(√(λ z / M), p / M) of such a place (all lengths in the object plane); 1 elsewhere.
    """
    n = setup.numerics.oversampling
    spread = np.zeros((dx.shape[0] // n, dx.shape[1] // n), np.float32)
    for component in (dx, dy):
        low, high = np.empty((2, *spread.shape), np.float32)
        _block_range(component, n, low, high)
        variation = ndimage.maximum_filter(high, 3) - ndimage.minimum_filter(low, 3)
        np.maximum(spread, variation / np.float32(n), out=spread)
    steep = spread > _STEEP_LABEL_PX
    fringe_m = math.sqrt(setup.wavelength_m * setup.effective_distance_m)
    reach = 3 * max(fringe_m / setup.object_pixel_m, 1.0)
    if steep.any():
        steep = ndimage.distance_transform_edt(~steep) <= reach
    frame = slice(margin_px, -margin_px)
    return (~steep[frame, frame]).astype(np.uint8)


@kernel
def _block_range(cells, n, low, high):
    """Smallest and largest value in each block of n × n cells."""
    for i in range(low.shape[0]):
        for j in range(low.shape[1]):
            smallest = largest = cells[i * n, j * n]
            for a in range(n):
                for b in range(n):
                    value = cells[i * n + a, j * n + b]
                    smallest = min(smallest, value)
                    largest = max(largest, value)
            low[i, j] = smallest
            high[i, j] = largest
