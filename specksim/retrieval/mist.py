"""MIST: multimodal intrinsic speckle tracking, from the Fokker–Planck equation of paraxial imaging.

In pixels, with ψ = (z/k) φ / p² (so that d = ∇ψ) and D half the variance of the blur,

    reference − sample = ∇·(reference ∇ψ) − ∇²(D · reference)

for a phase object. Written out, every term is a derivative of the reference times a coefficient; the
published variants differ in which terms they keep. The coefficients are found by least squares over all
exposures and a window around each pixel, as the derivatives of a few exposures alone are too ill conditioned.
All is of first order in the displacement, which should be smaller than the speckle, and stands on the
detector's grid.

- "phase" (Pavlov et al. 2020): reference ∇²ψ and D ∇²reference.
- "phase-gradients" (Alloo et al. 2023): also those in ∂x reference and ∂y reference; the first coefficient is
  then ∇²(ψ − D). The published form takes the others for −2∇D; they hold ∇ψ, too, and are not used.
- "attenuating" (Alloo et al. 2022): an object of one material, whose phase is (δ/2β) ln t, and
  sample = reference (t − l ∇²t) + D t ∇²reference with l = z δ / (2 k β p²): a Paganin filter gives t.

The first two take every loss of light for a curvature of the phase: for a nylon object with a transmission of
0.96 the phase is wrong several times over. They end in an inverse Laplacian, regularised by the errors of
the Laplacian, which the residual of the fit gives: see `inverse_laplacian`. The dark field is the loss of
visibility that a blur of variance 2D causes in this reference, to first order exp(−D ⟨|∇I|²⟩ / var I).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from specksim.materials import refractive_index
from specksim.retrieval.alignment import agreement
from specksim.retrieval.inputs import choose_window
from specksim.retrieval.integration import radians_per_pixel
from specksim.retrieval.result import Retrieval
from specksim.retrieval.tracking import Images, prepare
from specksim.retrieval.windows import smooth, window_taps
from specksim.setups import Setup

FORMS = ("attenuating", "phase", "phase-gradients")
_LEAST_EXPOSURES = {"attenuating": 2, "phase": 2, "phase-gradients": 4}
_STRIP_ROWS = 64
_TIKHONOV_STEPS = 65
_RIDGE = 1e-6  # of the mean square of each term: where a window holds no speckle
LEAST_TRANSMISSION = 1e-3
"""What an object is taken to transmit at least, before the logarithm is taken."""


def mist(
    reference: np.ndarray,
    sample: np.ndarray,
    *,
    setup: Setup | None = None,
    material: str | None = None,
    form: str | None = None,
    window: int | None = None,
) -> Retrieval:
    """Phase, transmission and dark field by multimodal intrinsic speckle tracking.

    Parameters
    ----------
    reference, sample : (K, H, W) array
        Counts or relative intensity of K exposures, each at its own position of the sandpaper.
    setup : Setup
        Energy, distances and pixel.
    material : str, optional
        The one material of the object (see `specksim.refractive_index`), for "attenuating".
    form : {"attenuating", "phase", "phase-gradients"}, optional
        An object of one material, K >= 2 [2]_; one that does not absorb, K >= 2 [1]_, or K >= 4 [3]_.
        Default: "attenuating" with a material, else "phase".
    window : int, optional
        Side of the Hamming window over which the equations are solved, pixels, odd, >= 3. Default: about
        13/K^¼, at least 5.

    Returns
    -------
    Retrieval
        dx, dy, quality, phase, dark_field; transmission with "attenuating". dx and dy are d = (z/k) ∇φ. Its
        `parameters` hold the `tikhonov` parameter of the phase forms, 1/pixel⁴.

    Raises
    ------
    ValueError
        As `umpa`; also if there is no setup, too few exposures, an unknown form, or "attenuating" lacks its
        material.

    References
    ----------
    .. [1] Pavlov et al., J. Opt. 22, 125604 (2020). doi:10.1088/2040-8986/abc313
    .. [2] Alloo et al., J. Med. Imaging 9, 031502 (2022). doi:10.1117/1.JMI.9.3.031502
    .. [3] Alloo et al., Sci. Rep. 13, 5424 (2023). doi:10.1038/s41598-023-31574-z
    """
    form = _checked_form(form, material)
    if setup is None:
        raise ValueError("mist needs a setup: energy, distances and pixel size")
    images = prepare(reference, sample, f"mist with form {form!r}", _LEAST_EXPOSURES[form])
    window = choose_window(window, len(images.reference), images.live.shape)
    taps = window_taps(window, "hamming")
    parameters: dict[str, Any] = {"exposures": len(images.reference), "window_px": window, "form": form}
    transmission = None
    if form == "attenuating":
        parameters["material"] = material
        length = absorption_length_px2(setup, str(material))
        found = fit_terms(_terms(images), images.sample, taps, images.noise_factor)
        transmission = np.maximum(paganin(found.coefficients[0], length), LEAST_TRANSMISSION)
        potential, diffusion = length * np.log(transmission), found.coefficients[1] / transmission
    else:
        potential, diffusion, parameters["tikhonov"] = _of_phase_object(images, taps, form)
    return field_result(
        images,
        potential,
        setup,
        method="mist",
        transmission=transmission,
        dark_field=np.exp(-diffusion * _roughness(images.reference)),
        parameters=parameters,
    )


def _terms(images: Images) -> np.ndarray:
    return np.stack([images.reference, laplacian(images.reference)])


def _of_phase_object(images: Images, taps: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray, float]:
    """ψ and D (pixel²) of an object that does not absorb, and the Tikhonov parameter."""
    terms = _terms(images)
    if form == "phase-gradients":
        terms = np.concatenate([terms, np.gradient(images.reference, axis=(1, 2))])
    found = fit_terms(terms, images.reference - images.sample, taps, images.noise_factor)
    diffusion = -found.coefficients[1]
    curvature = found.coefficients[0]
    if form == "phase-gradients":  # its first coefficient is ∇²(ψ − D)
        curvature = curvature + laplacian(diffusion)
    potential, tikhonov = inverse_laplacian(curvature, found.variance, taps)
    return potential, diffusion, tikhonov


def _checked_form(form: str | None, material: str | None) -> str:
    if form is None:
        form = "phase" if material is None else "attenuating"
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    if form == "attenuating" and material is None:
        raise ValueError("form 'attenuating' needs the object's material")
    return form


def absorption_length_px2(setup: Setup, material: str) -> float:
    """ψ / ln t of an object of one material, z δ / (2 k β) in pixels of the object plane squared."""
    delta, beta = refractive_index(material, setup.beam.energy_kev)
    return delta / (2.0 * beta) / radians_per_pixel(setup)


@dataclass(frozen=True)
class Fit:
    """Coefficients (n, H, W) of a windowed fit, and the variance of the first, in the mean over the frame."""

    coefficients: np.ndarray
    variance: float


def fit_terms(terms: np.ndarray, right: np.ndarray, taps: np.ndarray, noise_factor: float) -> Fit:
    """Solve Σ c · term = right for c around each pixel, by least squares over exposures and a window.

    Parameters
    ----------
    terms : (n, K, H, W) float32
    right : (K, H, W) float32
    taps : (m,) float32
        Weights of the window along each axis.
    noise_factor : float
        Standard error over what white noise would give, see `Images`.

    Returns
    -------
    Fit
    """
    number, exposures, rows, columns = terms.shape
    half = len(taps) // 2
    everything = np.concatenate([terms, right[None]])
    padded = np.pad(everything, ((0, 0), (0, 0), (half, half), (half, half)), mode="symmetric")
    coefficients = np.empty((number, rows, columns), np.float32)
    effective = float((taps.astype(float) ** 2).sum() ** 2)
    freedom = max(exposures - number * effective, effective)
    total = 0.0
    for first in range(0, rows, _STRIP_ROWS):
        strip = padded[:, :, first : first + _STRIP_ROWS + 2 * half]
        sums = _summed_products(strip, taps)
        matrix, side = sums[..., :number, :number], sums[..., :number, number]
        ridge = np.eye(number) * (_RIDGE * np.einsum("...ii->...i", matrix).mean(axis=(0, 1)) + 1e-30)
        inverse = np.linalg.inv(matrix + ridge)
        solution = np.einsum("...ij,...j->...i", inverse, side)
        left = np.maximum(sums[..., number, number] - np.einsum("...i,...i->...", solution, side), 0.0)
        total += float((left * inverse[..., 0, 0]).sum())
        coefficients[:, first : first + len(sums)] = np.moveaxis(solution, -1, 0)
    return Fit(coefficients, total / (rows * columns) * effective / freedom * noise_factor**2)


def _summed_products(strip: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Windowed sums over exposures of the products of all fields, (rows, columns, n, n) float64."""
    number, _, high, wide = strip.shape
    size = len(taps) - 1
    sums = np.empty((high - size, wide - size, number, number))
    summed, half_done = np.empty((high - size, wide - size), np.float32), np.empty(wide, np.float32)
    for a in range(number):
        for b in range(a, number):
            product = np.einsum("kij,kij->ij", strip[a], strip[b])
            smooth(product, taps, half_done, summed)
            sums[..., a, b] = sums[..., b, a] = summed
    return sums


def _squared_frequency(shape: tuple[int, ...]) -> np.ndarray:
    """kx² + ky² of the cosine transform's frequencies, 1/pixel²."""
    rows, columns = (np.pi * np.arange(size) / size for size in shape[-2:])
    return (rows[:, None] ** 2 + columns[None, :] ** 2).astype(np.float32)


def _cosines(values: np.ndarray) -> np.ndarray:
    spectrum: np.ndarray = fft.dctn(values, type=2, norm="ortho", axes=(-2, -1))
    return spectrum


def _from_cosines(spectrum: np.ndarray) -> np.ndarray:
    values: np.ndarray = fft.idctn(spectrum, type=2, norm="ortho", axes=(-2, -1))
    return values


def laplacian(values: np.ndarray) -> np.ndarray:
    """∇² of maps (…, H, W) mirrored at their border, 1/pixel²."""
    return _from_cosines(-_squared_frequency(values.shape) * _cosines(values))


def paganin(values: np.ndarray, length_px2: float) -> np.ndarray:
    """Solve t − length · ∇²t = values, mirrored at the border."""
    return _from_cosines(_cosines(values) / (1.0 + np.float32(length_px2) * _squared_frequency(values.shape)))


def inverse_laplacian(values: np.ndarray, variance: float, taps: np.ndarray) -> tuple[np.ndarray, float]:
    """Solve ∇²ψ = values, which have errors of a known variance, with Tikhonov's regularisation.

    Parameters
    ----------
    values : (H, W) array
    variance : float
        Of the values' errors.
    taps : (m,) array
        Window over which the values, and so their errors, are smooth; weights along each axis, sum 1.

    Returns
    -------
    potential : (H, W) float64
        Mean 0.
    tikhonov : float
        The parameter α in the transfer function −k²/(k⁴ + α), 1/pixel⁴.

    Notes
    -----
    α is the one with the least squared error of ∇ψ as Stein's unbiased estimate has it [1]_: with values F
    and errors of power P at each frequency, Σ [(1 − a)² F² + (2a − 1) P] / k² for a = k⁴/(k⁴ + α). The mean
    of the values, which no ψ explains, is left out.

    References
    ----------
    .. [1] Stein, Ann. Stat. 9, 1135 (1981). doi:10.1214/aos/1176345632
    """
    squared = _squared_frequency(values.shape).astype(np.float64)
    squared[0, 0] = np.inf
    spectrum = _cosines(values.astype(np.float64))
    lags = np.arange(len(taps)) - len(taps) // 2
    rows, columns = (
        np.cos(np.pi / size * np.outer(np.arange(size), lags)) @ taps.astype(np.float64)
        for size in values.shape
    )
    noise = np.outer(rows, columns) ** 2
    noise *= variance / noise.mean()

    def error(alpha: float) -> float:
        kept = 1.0 / (1.0 + alpha / squared**2)
        return float((((1.0 - kept) ** 2 * spectrum**2 + (2.0 * kept - 1.0) * noise) / squared).sum())

    alphas = np.pi**4 * np.logspace(-16, 0, _TIKHONOV_STEPS)
    alpha = float(min(alphas, key=error))
    return _from_cosines(-1.0 / (squared + alpha / squared) * spectrum), alpha


def _roughness(reference: np.ndarray) -> float:
    """⟨|∇I|²⟩ / var I: the loss of visibility for a blur of variance 2, 1/pixel²."""
    return float(-(reference * laplacian(reference)).mean() / reference.var(axis=(1, 2)).mean())


def field_result(
    images: Images,
    potential: np.ndarray,
    setup: Setup,
    *,
    method: str,
    transmission: np.ndarray | None,
    parameters: dict[str, Any],
    dark_field: np.ndarray | None = None,
) -> Retrieval:
    """A `Retrieval` from ψ (pixel²): d = ∇ψ, and the phase; quality is that of the displacement."""
    dy, dx = (part.astype(np.float32) for part in np.gradient(potential))
    return Retrieval(
        dx,
        dy,
        agreement(images.reference, images.sample, dx, dy) * images.live,
        transmission=None if transmission is None else transmission.astype(np.float32),
        dark_field=None if dark_field is None else dark_field.astype(np.float32),
        phase=(radians_per_pixel(setup) * potential).astype(np.float32),
        method=method,
        parameters=parameters,
    )
