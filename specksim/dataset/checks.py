"""What must hold for every pair of a data set, whatever it shows."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from specksim.dataset import schema
from specksim.dataset.reader import SpeckleDataset
from specksim.detector import noise_variance, photon_counts, saturation_level
from specksim.forward import SpecklePair
from specksim.materials import refractive_index
from specksim.request import Request
from specksim.setups import Setup
from specksim.validity import STEEP_LABEL_PX

_ROUNDING_PX = 1e-3
_ROUNDING_LOG = 1e-3
_SMALL_PX = 0.5
_MANY_PIXELS = 2000


def find_problems_of_all(dataset: SpeckleDataset) -> Iterator[str]:
    """Each problem that is not one pair's as a few words."""
    provenance = dataset.provenance()
    if provenance["content_hash"] != dataset.expected_content_hash():
        yield "the content hash does not match"
    if provenance["toml"] != dataset.request.setup.to_toml():
        yield "the setup is not that of the request"


def find_problems(dataset: SpeckleDataset, row: int) -> Iterator[str]:
    """Each problem of one pair as `FIELD: what is wrong`.

    A field that cannot be read, or whose checksum does not match, is reported as such and the physics is
    left alone; otherwise the physics is checked.
    """
    read: dict[str, Any] = {}
    damaged = False
    for name in schema.checksummed(dataset.request.setup):
        try:
            stored = dataset.parameters(row) if name == schema.PARAMETER_CHECKSUM else dataset.read(name, row)
            intact = dataset.intact(name, row, stored)
        except ValueError as error:
            yield f"{name}: {str(error).removeprefix(f'{dataset.path}: ')}"
            damaged = True
            continue
        read[name] = stored
        if not intact:
            yield f"{name}: the checksum does not match"
            damaged = True
    if damaged:
        return
    parameters = read.pop(schema.PARAMETER_CHECKSUM)
    try:
        pair = dataset.assemble(row, read, parameters)
        yield from _wrong_parameters(dataset, row, pair, parameters)
        yield from wrong_physics(pair, dataset.request)
    except ValueError as error:
        yield f"parameters: {str(error).removeprefix(f'{dataset.path}: ')}"


def _wrong_parameters(
    dataset: SpeckleDataset, row: int, pair: SpecklePair, parameters: dict[str, Any]
) -> Iterator[str]:
    request = dataset.request
    first = int(dataset.parameters(0)["index"])
    if pair.index != first + row:
        yield f"index: {pair.index} in row {row} of a data set that begins with {first}"
    for name, expected in (
        ("geometry", request.geometry_of(pair.index)),
        ("material", request.material_of(pair.index)),
    ):
        if not parameters[name] == pair.scene.get(name) == expected:
            yield f"{name}: {parameters[name]!r}, where scene and request say {expected!r}"


def wrong_physics(pair: SpecklePair, request: Request) -> Iterator[str]:
    """Each physical impossibility of a pair as `FIELD: what is wrong`."""
    for name in ("reference", "sample", "dx", "dy", "phase", "transmission"):
        if not np.isfinite(getattr(pair, name)).all():
            yield f"{name}: not finite"
            return
    if pair.phase.max() > 0:
        yield f"phase: {pair.phase.max():.3g} rad is above 0, which matter does not do"
    if pair.transmission.min() < 0 or pair.transmission.max() > 1:
        yield "transmission: outside of 0..1"
        return
    if not np.isin(pair.valid, (0, 1)).all():
        yield "valid: values other than 0 and 1"
        return
    yield from _wrong_light(pair, request.setup)
    yield from _wrong_motion(pair, request.setup)
    yield from _wrong_gradient(pair, request.setup)
    yield from _wrong_attenuation(pair, request.setup)


def _wrong_light(pair: SpecklePair, setup: Setup) -> Iterator[str]:
    """The reference has the setup's mean, the sample that times the transmission.

    A frame holds a limited number of grains and photons: the bounds are wide. Where objects throw light by
    more than a few per cent of the frame, the light that crosses its border is not accounted for.
    """
    photons = setup.detector.photons_per_pixel
    scale = 1.0 if math.isinf(photons) else photons
    noise = 6 * math.sqrt(noise_variance(scale, setup) / pair.reference[0].size) / scale
    reference, sample = (photon_counts(image, setup) for image in (pair.reference, pair.sample))
    mean = float(reference.mean()) / scale
    if not 0.2 - noise < mean < 5 + noise:
        yield f"reference: mean {mean * scale:.4g} is far from the setup's {scale:.4g}"
    expected = float(np.mean(reference * pair.transmission)) / scale
    thrown = max(float(np.abs(pair.dx).max()), float(np.abs(pair.dy).max())) / min(pair.dx.shape)
    if thrown < 0.03 and abs(float(sample.mean()) / scale - expected) > 0.2 * expected + 2 * noise:
        yield (
            f"sample: mean {sample.mean():.4g} is far from transmission × reference, {expected * scale:.4g}"
        )


def _wrong_motion(pair: SpecklePair, setup: Setup) -> Iterator[str]:
    """What the sample has more than transmission × reference is −∇·(t · reference · d), to first order in d.

    The coefficient between the two is 1 for right labels, −1 for the wrong sign and 0 for another image. It
    is looked at where displacements are small, if noise leaves it certain. Absorption that varies within the
    blur σ moves the speckle too, by σ² ∇ln t: where that matters nothing is said.
    """
    reference, sample = (photon_counts(images, setup).mean(0) for images in (pair.reference, pair.sample))
    variance = setup.blur_px**2 + 1 / 12
    light = reference * pair.transmission
    change = -np.gradient(light * pair.dx, axis=1) - np.gradient(light * pair.dy, axis=0)
    shift = np.hypot(pair.dx, pair.dy).astype(np.float64)
    absorbed = np.hypot(*np.gradient(pair.transmission)) > 0.2 * shift * pair.transmission / variance
    counted = _unsaturated(pair, setup)
    where = ndimage.minimum_filter((pair.valid == 1) & (shift < _SMALL_PX) & ~absorbed & counted, 5)
    where[:2] = where[-2:] = where[:, :2] = where[:, -2:] = False
    power = float(np.sum(change[where] ** 2))
    if math.isinf(setup.detector.photons_per_pixel):
        noise = noise_power = 0.0
    else:
        variance_of_both = sample + light + 2 * noise_variance(0.0, setup)
        noise = float(np.sqrt(np.sum((change**2 * variance_of_both)[where]) / len(pair.reference)))
        noise_power = float(np.sum((0.5 * shift**2 * light)[where])) / len(pair.reference)
    if power < 20 * max(noise, noise_power, 1e-12):
        return
    coefficient = float(np.sum((change * (sample - light))[where])) / power
    if not 0.5 < coefficient < 1.6:
        yield f"sample: does not follow dx and dy: coefficient {coefficient:.2g} instead of 1"


def _unsaturated(pair: SpecklePair, setup: Setup) -> np.ndarray:
    """(H, W) bool: where no exposure has reached the detector's limit."""
    level = saturation_level(setup)
    if level is None:
        return np.ones(pair.valid.shape, bool)
    return np.maximum(pair.reference.max(axis=0), pair.sample.max(axis=0)) < level


def _wrong_gradient(pair: SpecklePair, setup: Setup) -> Iterator[str]:
    """The displacement is (z/k) times the gradient of the phase.

    The central difference of the phase is that gradient averaged over three pixels, with other weights than
    the mean of the labels: the two differ by less than 1/8 of the gradient's variation there. Twice that
    is allowed, and over a large part of the frame where it is steady they must agree within 10 %.
    """
    scale: Any = setup.effective_distance_m / (setup.wavenumber_per_m * setup.object_pixel_m**2)
    if setup.beam.spectrum:
        if not _one_material(pair.scene):
            return
        scale = scale * _hardening(pair, setup)
    smooth = ndimage.minimum_filter(pair.valid, 3).astype(bool)
    for name, axis in (("dy", 0), ("dx", 1)):
        label = getattr(pair, name).astype(np.float64)
        step = scale * np.gradient(pair.phase.astype(np.float64), axis=axis)
        mean = ndimage.correlate1d(label, [0.25, 0.5, 0.25], axis=axis)
        if (_variation(label, 3) > STEEP_LABEL_PX + _ROUNDING_PX)[pair.valid == 1].any():
            yield f"valid: 1 where {name} varies by more than {STEEP_LABEL_PX} px"
        inner = smooth.copy()
        inner[[0, -1]] = inner[:, [0, -1]] = False  # one-sided differences
        stray = np.abs(step - mean)
        # a body thinner than a pixel leaves little in the mean label and a ridge in the phase
        varies = 0.25 * _variation(label, 5) + 0.5 * _variation(step, 5)
        steady = inner & (varies < 0.5 * np.abs(mean))
        slope_error = abs(
            float(np.sum((step * mean)[steady])) / max(float(np.sum(mean[steady] ** 2)), 1e-30) - 1
        )
        certain = steady.sum() > _MANY_PIXELS and np.abs(mean[steady]).max() > 10 * _ROUNDING_PX
        if (stray > varies + _ROUNDING_PX)[inner].any() or (certain and slope_error > 0.1):
            yield f"{name}: strays from (z/k) ∇φ by up to {stray[inner].max():.3g} px"


def _variation(values: np.ndarray, size: int) -> np.ndarray:
    """Largest minus smallest value within `size` × `size` pixels around each."""
    return ndimage.maximum_filter(values, size) - ndimage.minimum_filter(values, size)


def _wrong_attenuation(pair: SpecklePair, setup: Setup) -> Iterator[str]:
    """t = Σ w exp(−2kβT) with T = −φ/kδ, where all of the scene is of one material."""
    if not _one_material(pair.scene):
        return
    through = sum(weight * t for weight, t, _ in _lines_behind(pair, setup))
    logarithm = np.log(np.maximum(through, 1e-300))
    where = (pair.valid == 1) & (logarithm > -60)  # single precision holds no less than exp(-87)
    stray = np.abs(np.log(np.maximum(pair.transmission, 1e-35)) - logarithm)
    # the mean of t over a pixel is not exp of the mean of ln t: by Hoeffding's lemma, range² / 8 at most
    excess = (stray - _variation(logarithm, 3) ** 2 / 8)[where].max(initial=0.0)
    if excess > _ROUNDING_LOG:
        yield f"transmission: ln t strays from (2β/δ) φ by {excess:.3g} more than it may"


def _one_material(scene: Mapping[str, Any]) -> bool:
    bodies = scene.get("bodies")
    return isinstance(bodies, list) and all(
        isinstance(body, dict) and body.get("material") is None for body in bodies
    )


def _lines_behind(pair: SpecklePair, setup: Setup) -> Iterator[tuple[float, np.ndarray, float]]:
    """Weight, transmission and δ of each line behind an object of one material, from its phase."""
    delta, _ = refractive_index(pair.scene["material"], setup.beam.energy_kev)
    thickness_m = pair.phase.astype(np.float64) / (-setup.wavenumber_per_m * delta)
    for weight, line in setup.lines:
        delta, beta = refractive_index(pair.scene["material"], line.beam.energy_kev)
        yield weight, np.exp(-2 * line.wavenumber_per_m * beta * thickness_m), delta


def _hardening(pair: SpecklePair, setup: Setup) -> np.ndarray:
    """Mean of δ over what comes through an object, over δ at the effective energy."""
    lines = list(_lines_behind(pair, setup))
    light = np.sum([weight * t for weight, t, _ in lines], axis=0)
    refracted = np.sum([weight * t * delta for weight, t, delta in lines], axis=0)
    return refracted / light / refractive_index(pair.scene["material"], setup.beam.energy_kev)[0]
