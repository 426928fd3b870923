"""What must hold for every pair of a data set, whatever it shows."""

import math
from collections.abc import Iterator

import numpy as np

from specksim.dataset import schema
from specksim.dataset.reader import SpeckleDataset
from specksim.forward import SpecklePair
from specksim.materials import refractive_index
from specksim.request import Request

_GRADIENT_TOLERANCE_PX = 0.15  # half the variation of a label that `valid` admits within a pixel


def find_problems(dataset: SpeckleDataset, row: int) -> Iterator[str]:
    """Each problem of one pair as `FIELD: what is wrong`.

    A field that cannot be read, or whose checksum does not match, is reported as such and the physics is
    left alone; otherwise the physics is checked.
    """
    damaged = False
    for field in schema.fields(dataset.request.setup):
        try:
            intact = dataset.intact(field.name, row, dataset.read(field.name, row))
        except ValueError as error:
            yield f"{field.name}: {error}"
            damaged = True
            continue
        if not intact:
            yield f"{field.name}: the checksum does not match"
            damaged = True
    if damaged:
        return
    try:
        pair = dataset[row]
    except ValueError as error:
        yield f"parameters: {error}"
        return
    yield from _wrong_parameters(dataset, row, pair)
    yield from wrong_physics(pair, dataset.request)


def _wrong_parameters(dataset: SpeckleDataset, row: int, pair: SpecklePair) -> Iterator[str]:
    for name, expected in (
        ("geometry", pair.scene.get("geometry")),
        ("material", pair.scene.get("material")),
    ):
        found = dataset.column(name)[row]
        if found != expected or expected != getattr(dataset.request, f"{name}_of")(pair.index):
            yield f"{name}: {found!r} is not what scene and request say"


def wrong_physics(pair: SpecklePair, request: Request) -> Iterator[str]:
    """Each physical impossibility of a pair as `FIELD: what is wrong`."""
    setup = request.setup
    for name in ("reference", "sample", "dx", "dy", "phase", "transmission"):
        if not np.isfinite(getattr(pair, name)).all():
            yield f"{name}: not finite"
            return
    if pair.phase.max() > 0:
        yield f"phase: {pair.phase.max():.3g} rad is above 0, which matter does not do"
    if pair.transmission.min() <= 0 or pair.transmission.max() > 1:
        yield "transmission: outside of (0, 1]"
        return
    if not np.isin(pair.valid, (0, 1)).all():
        yield "valid: values other than 0 and 1"
    photons = setup.detector.photons_per_pixel
    mean = float(pair.reference.mean())
    # a frame holds some thousand speckles: its mean strays from the field's by per cents
    expected = 1.0 if math.isinf(photons) else photons
    if not 0.5 * expected < mean < 2 * expected:
        yield f"reference: mean {mean:.4g} is far from the setup's {expected:.4g}"
    smooth = pair.valid.astype(bool)
    yield from _wrong_gradient(pair, request, smooth)
    if "bodies" in pair.scene and not any(body.get("material") for body in pair.scene["bodies"]):
        delta, beta = refractive_index(pair.scene["material"], setup.beam.energy_kev)
        expected_log = 2 * beta / delta * pair.phase
        error = np.abs(np.log(pair.transmission) - expected_log)[smooth]
        if error.max(initial=0.0) > 1e-3:
            yield f"transmission: ln t strays from (2β/δ) φ by {error.max():.3g}"


def _wrong_gradient(pair: SpecklePair, request: Request, smooth: np.ndarray) -> Iterator[str]:
    """The displacement is (z/k) times the gradient of the phase, up to how it varies between pixels."""
    setup = request.setup
    scale = setup.effective_distance_m / (setup.wavenumber_per_m * setup.object_pixel_m**2)
    for name, axis in (("dy", 0), ("dx", 1)):
        values = getattr(pair, name).astype(np.float64)
        step = scale * np.diff(pair.phase.astype(np.float64), axis=axis)
        near, far = (np.take(values, np.arange(values.shape[axis] - 1) + k, axis=axis) for k in (0, 1))
        both = np.take(smooth, np.arange(1, values.shape[axis]), axis=axis) & np.take(
            smooth, np.arange(values.shape[axis] - 1), axis=axis
        )
        error = np.abs(step - 0.5 * (near + far))[both]
        if error.max(initial=0.0) > _GRADIENT_TOLERANCE_PX:
            yield f"{name}: strays from (z/k) ∇φ by {error.max():.3g} px"
