"""The transport-of-intensity equation of an object of one material in front of a speckle."""

import numpy as np
from scipy import fft

from specksim.retrieval.inputs import speckle_images
from specksim.retrieval.integration import conjugate_gradients
from specksim.retrieval.mist import LEAST_TRANSMISSION, absorption_length_px2, field_result
from specksim.retrieval.result import Retrieval
from specksim.retrieval.tracking import Images
from specksim.setups import Setup

_TOLERANCE = 1e-5  # of the residual, relative to the sample


def speckle_tie(
    reference: np.ndarray,
    sample: np.ndarray,
    *,
    setup: Setup | None = None,
    material: str | None = None,
) -> Retrieval:
    """Transmission and phase of an object of one material from one pair. [1]_

    Parameters
    ----------
    reference, sample : (H, W) or (K, H, W) array
        Counts or relative intensity. Exposures are added up: the equation is linear in them.
    setup : Setup
        Energy, distances and pixel.
    material : str
        The one material of the object, see `specksim.refractive_index`.

    Returns
    -------
    Retrieval
        dx, dy, quality, transmission, phase; dx and dy are d = (z/k) ∇φ.

    Raises
    ------
    ValueError
        As `umpa`; also without setup or material.

    Notes
    -----
    With φ = (δ/2β) ln t the transport of intensity is linear in the transmission,

        sample = reference · t − l ∇·(reference ∇t),  l = z δ / (2 k β),

    and that is solved as it stands, by conjugate gradients. The paper drops ∇reference · ∇t, which leaves a
    filter on sample / reference: the solution for an even reference, which is the preconditioner here. What
    is tracked is mostly the light lost, so that the result is smooth and its noise low, but the object must
    be of one known material and the flux of both images the same. Of first order in the displacement; on the
    detector's grid.

    References
    ----------
    .. [1] Pavlov et al., Phys. Rev. Applied 13, 054023 (2020). doi:10.1103/PhysRevApplied.13.054023
    """
    if setup is None:
        raise ValueError("speckle-tie needs a setup: energy, distances and pixel size")
    if material is None:
        raise ValueError("speckle-tie needs the object's material")
    first, second, live = speckle_images(reference, sample, "speckle-tie")
    length = absorption_length_px2(setup, material)
    transmission = _solve_transport(first.mean(axis=0), second.mean(axis=0), length)
    transmission = np.maximum(transmission, LEAST_TRANSMISSION)
    return field_result(
        Images(first, second, live, 1.0),
        length * np.log(transmission),
        setup,
        method="speckle-tie",
        transmission=transmission,
        parameters={"exposures": len(first), "material": material},
    )


def _solve_transport(reference: np.ndarray, sample: np.ndarray, length_px2: float) -> np.ndarray:
    """Solve reference · t − length ∇·(reference ∇t) = sample for t, with no flow across the border."""
    weight_x = length_px2 * 0.5 * (reference[:, 1:] + reference[:, :-1])
    weight_y = length_px2 * 0.5 * (reference[1:] + reference[:-1])

    def transport(t: np.ndarray) -> np.ndarray:
        arriving = reference * t
        flow_x, flow_y = weight_x * np.diff(t, axis=1), weight_y * np.diff(t, axis=0)
        arriving[:, :-1] -= flow_x
        arriving[:, 1:] += flow_x
        arriving[:-1] -= flow_y
        arriving[1:] += flow_y
        return arriving

    rows, columns = (2.0 - 2.0 * np.cos(np.pi * np.arange(size) / size) for size in sample.shape)
    even = 1.0 + length_px2 * (rows[:, None] + columns[None, :])  # the same for a reference of 1 everywhere

    def solve_even(light: np.ndarray) -> np.ndarray:
        solved: np.ndarray = fft.idctn(fft.dctn(light, norm="ortho") / even, norm="ortho")
        return solved

    return conjugate_gradients(transport, sample.astype(np.float64), solve_even, _TOLERANCE)
