"""The forward model: one scene in, one labelled pair of images out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim import detector, notebook, phantoms, seeds
from specksim.diffraction import diffracted_light
from specksim.drift import Drift, draw_drift
from specksim.materials import refractive_index
from specksim.sandpaper import SpeckleField, cut, draw_places, simulate_field
from specksim.setups import Setup
from specksim.tracing import Carried, Truth, trace_object, trace_rays
from specksim.validity import valid_pixels

PROPAGATIONS = ("rays", "waves")


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

    def _repr_png_(self) -> bytes:
        title = f"pair {self.index}: {self.scene['geometry']}, {self.scene['material']}"
        names = ("dx", "dy", "phase", "transmission", "valid")
        truth = {name: getattr(self, name) for name in names}
        return notebook.picture(title, {"reference": self.reference[0], "sample": self.sample[0], **truth})


def simulate(
    setup: Setup,
    *,
    material: str = "nylon",
    geometry: str = "sphere",
    seed: int = 0,
    index: int = 0,
    split: str = "training",
    propagation: str = "rays",
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
    propagation : {"rays", "waves"}
        How the sample image is made: by rays, fast, or by the Fresnel propagation of sandpaper and object
        together. Reference, scene, labels and noise are the same.

    Returns
    -------
    SpecklePair

    Raises
    ------
    ValueError
        If the material, geometry, split or propagation is unknown, seed or index is out of range, the phase
        of sandpaper or object is too steep for the wave grid, or an object's walls are too steep for rays.

    Examples
    --------
    >>> setup = Setup.load("imbl-28kev").with_values(detector__rows=64, detector__columns=48)
    >>> pair = simulate(setup, material="nylon", geometry="empty", seed=1)
    >>> pair.reference.shape, pair.reference.dtype, pair.dx.shape
    ((1, 64, 48), dtype('uint16'), (64, 48))
    >>> float(abs(pair.dx).max()), float(pair.transmission.min())
    (0.0, 1.0)
    """
    if index < 0:
        raise ValueError(f"index must be >= 0, got {index}")
    refractive_index(material, setup.beam.energy_kev)
    phantoms.find_geometry(geometry)
    check_propagation(propagation)
    rng = seeds.field_rng(seed, split, index // setup.numerics.pairs_per_field)
    return draw_pair(
        setup,
        simulate_field(setup, rng, waves=propagation == "waves"),
        material=material,
        geometry=geometry,
        seed=seed,
        split=split,
        index=index,
        propagation=propagation,
    )


def check_propagation(propagation: str) -> None:
    """Raise ValueError unless the propagation is one of `PROPAGATIONS`."""
    if propagation not in PROPAGATIONS:
        raise ValueError(f"propagation must be one of {', '.join(PROPAGATIONS)}, got {propagation!r}")


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
    propagation: str = "rays",
    drift: float = 0.0,
) -> SpecklePair:
    """Draw the scene of a pair and simulate it in front of the field of its shard; see `simulate`."""
    scene_rng, crop_rng, noise_rng = seeds.pair_rngs(seed, split, index)
    scene = phantoms.draw_scene(geometry, material, setup, scene_rng)
    if scene_rng.random() < drift:
        scene["drift"] = draw_drift(scene_rng, setup).to_json()
    return simulate_pair(
        setup, scene, field, crop_rng, noise_rng, index=index, steps=steps, propagation=propagation
    )


def warm_up() -> None:
    """Simulate small pairs, which compiles the code of pairs, or loads it."""
    setup = Setup().with_values(detector__rows=32, detector__columns=32)
    field = SpeckleField(np.ones((256, 256), np.float32), 1.0)
    for geometry in phantoms.TRAINING:
        draw_pair(setup, field, material="nylon", geometry=geometry, seed=0, split="training", index=0)


def simulate_pair(
    setup: Setup,
    scene: dict[str, Any],
    field: SpeckleField,
    crop_rng: np.random.Generator,
    noise_rng: np.random.Generator,
    *,
    index: int = 0,
    steps: int = 1,
    propagation: str = "rays",
) -> SpecklePair:
    """Simulate the images and the truth of one scene in front of a speckle field.

    Parameters
    ----------
    setup : Setup
    scene : dict
        See `phantoms.draw_scene`; "drift" may hold what else has moved, see `Drift`.
    field : SpeckleField
        With its sandpaper (`simulate_field(..., waves=True)`) for wave optics.
    crop_rng, noise_rng : numpy.random.Generator
        Place, turn and steps of the sandpaper; noise of the detector.
    index : int
        Kept in the pair.
    steps : int
        Positions of the sandpaper, K.
    propagation : {"rays", "waves"}
        How the sample image is made; the rest of the pair does not depend on it.

    Returns
    -------
    SpecklePair
    """
    check_propagation(propagation)
    thickness_m, margin_px = trace_object(setup, scene)
    drift, grid = Drift.of(scene), setup.ray_nodes(margin_px)
    cells = (grid.rows - 1, grid.columns - 1)
    places = draw_places(field, cells, steps, crop_rng)
    reference_rng, sample_rng = noise_rng.spawn(2)  # of its own, so that no image depends on another's

    truth, references, samples = Truth.empty(setup, cells), [], []
    for number, place in enumerate(places):
        speckle = cut(field.intensity, place, cells)
        references.append(detector.record(setup, speckle, reference_rng))
        carried = Carried.start(field, place, speckle) if propagation == "rays" else None
        if carried or number == 0:
            trace_rays(setup, thickness_m, drift, None if number else truth, carried)
        light = carried.arrived if carried else diffracted_light(setup, scene, field, place, margin_px)
        deposited = carried is not None or drift is not None
        samples.append(detector.record(setup, light, sample_rng, deposited=deposited))

    frame = (slice(margin_px, -margin_px),) * 2
    return SpecklePair(
        reference=np.stack(references),
        sample=np.stack(samples),
        dx=truth.dx[frame].copy(),
        dy=truth.dy[frame].copy(),
        phase=truth.phase[frame].copy(),
        transmission=truth.transmission[frame].copy(),
        valid=valid_pixels(setup, truth.ranges, margin_px),
        scene=scene,
        index=index,
        step_offset_px=np.subtract(places[0].corner, [place.corner for place in places])
        / setup.numerics.oversampling,
    )
