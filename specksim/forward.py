"""The forward model: one scene in, one labelled pair of images out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim import detector, phantoms, seeds
from specksim.materials import refractive_index
from specksim.optics import rays, refraction
from specksim.sandpaper import SpeckleField, crop_field, simulate_field
from specksim.setups import Setup
from specksim.tracing import trace_object
from specksim.validity import valid_mask


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
        If the material, geometry or split is unknown, seed or index is out of range, the sandpaper's phase
        is too steep for the wave grid, or an object's walls are too steep for ray optics.
    """
    if index < 0:
        raise ValueError(f"index must be >= 0, got {index}")
    refractive_index(material, setup.beam.energy_kev)
    phantoms.find_geometry(geometry)
    field = simulate_field(setup, seeds.field_rng(seed, split, index // setup.numerics.pairs_per_field))
    return draw_pair(setup, field, material=material, geometry=geometry, seed=seed, split=split, index=index)


def draw_pair(
    setup: Setup,
    field: SpeckleField,
    *,
    material: str,
    geometry: str,
    seed: int,
    split: str,
    index: int,
    steps: int = 1,
) -> SpecklePair:
    """Draw the scene of a pair and simulate it in front of the field of its shard; see `simulate`."""
    scene_rng, crop_rng, noise_rng = seeds.pair_rngs(seed, split, index)
    scene = phantoms.draw_scene(geometry, material, setup, scene_rng)
    return simulate_pair(setup, scene, field, crop_rng, noise_rng, index=index, steps=steps)


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

    def mean(cells: np.ndarray) -> np.ndarray:
        return detector.bin_mean(cells, oversampling, shape)

    references, samples = [], []
    speckles, offsets = crop_field(field, transmission.shape, steps, crop_rng)
    for speckle in speckles:
        reference, sample = photograph(setup, speckle, transmission, dx, dy, noise_rng)
        references.append(reference)
        samples.append(sample)
    return SpecklePair(
        reference=np.stack(references),
        sample=np.stack(samples),
        dx=mean(dx) / np.float32(oversampling),
        dy=mean(dy) / np.float32(oversampling),
        phase=mean(phase),
        transmission=mean(transmission),
        valid=valid_mask(setup, dx, dy, margin_px),
        scene=scene,
        index=index,
        step_offset_px=offsets / oversampling,
    )


def photograph(
    setup: Setup,
    speckle: np.ndarray,
    transmission: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Reference and sample image of one position of the sandpaper.

    Parameters
    ----------
    setup : Setup
    speckle : (H', W') float32
        Intensity on the ray grid, over the frame and its margin, relative to its mean.
    transmission, dx, dy : (H', W') float32
        Transmission, and displacement in cells of the ray grid.
    rng : numpy.random.Generator
        Of the photon noise.

    Returns
    -------
    reference, sample : (H, W) arrays
        See `detector.expose`.
    """
    shape, oversampling = (setup.detector.rows, setup.detector.columns), setup.numerics.oversampling

    def record(light: np.ndarray, deposited: bool) -> np.ndarray:
        blur = detector.blur_taps(setup.blur_px, oversampling, deposited)
        expected = detector.expected_image(light, blur, oversampling, shape)
        return detector.expose(expected, setup, rng)

    reference = record(speckle, deposited=False)
    return reference, record(rays.deposit(speckle * transmission, dx, dy), deposited=True)
