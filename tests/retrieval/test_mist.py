"""MIST, speckle TIE and optical flow: equations, phase in front of known objects, and refusals."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from specksim import refractive_index
from specksim.forward import draw_pair
from specksim.retrieval import flow_ilk, flow_tvl1, lcs, mist, speckle_tie
from specksim.retrieval.integration import radians_per_pixel
from specksim.retrieval.mist import absorption_length_px2, fit_terms, inverse_laplacian, laplacian, paganin
from specksim.retrieval.windows import window_taps
from tests.retrieval.conftest import constant, lens

WIDTH = 22.0


@pytest.fixture(scope="session")
def weak_lens(moved):
    """A phase object: images of 6 exposures, and ψ in pixel² with ∇ψ = d."""
    known = moved(lens(0.4, WIDTH), exposures=6, photons=2000)
    y, x = np.mgrid[:128, :128] - 63.5
    return known, -0.4 * WIDTH * np.exp(0.5 - (x**2 + y**2) / (2 * WIDTH**2))


@pytest.fixture(scope="session")
def nylon(tracked_setup, tracked_field):
    setup = tracked_setup.with_values(detector__photons_per_pixel=2000.0)
    return setup, draw_pair(
        setup, tracked_field, material="nylon", geometry="sphere", seed=1, split="training", index=0, steps=4
    )


def phase_error(result, truth):
    """RMS after the constant is taken off, relative to the largest."""
    return np.std(result.phase - truth) / np.abs(truth).max()


@pytest.mark.parametrize(("form", "exposures"), [("phase", 2), ("phase", 6), ("phase-gradients", 6)])
def test_phase_of_an_object_that_does_not_absorb(form, exposures, weak_lens, tracked_setup):
    known, potential = weak_lens
    result = mist(known.reference[:exposures], known.sample[:exposures], setup=tracked_setup, form=form)
    truth = radians_per_pixel(tracked_setup) * potential
    assert phase_error(result, truth) < 0.06
    slope = np.polyfit(known.dx.ravel(), result.dx.ravel(), 1)[0]
    tolerance = 0.15 if exposures == 2 else 0.1  # noise in the gradients shrinks it
    assert slope == pytest.approx(1.0, abs=tolerance)
    assert np.abs(np.median(result.dark_field) - 1) < 0.02
    assert result.transmission is None
    assert 0 < result.parameters["tikhonov"] < 1
    assert result.parameters["form"] == form


@pytest.mark.parametrize("exposures", [2, 4])
def test_attenuating_object_of_one_material(exposures, nylon):
    setup, pair = nylon
    result = mist(pair.reference[:exposures], pair.sample[:exposures], setup=setup, material="nylon")
    assert phase_error(result, pair.phase) < 0.07
    assert np.sqrt(np.mean((result.transmission - pair.transmission) ** 2)) < 0.003
    assert np.median(result.phase) < 0
    assert result.parameters["form"] == "attenuating"


def test_speckle_tie_of_one_pair(nylon):
    setup, pair = nylon
    result = speckle_tie(pair.reference[0], pair.sample[0], setup=setup, material="nylon")
    assert phase_error(result, pair.phase) < 0.07
    assert np.sqrt(np.mean((result.transmission - pair.transmission) ** 2)) < 0.003
    delta, beta = refractive_index("nylon", setup.beam.energy_kev)
    np.testing.assert_allclose(
        result.phase, delta / (2 * beta) * np.log(result.transmission), rtol=1e-4, atol=1e-3
    )
    several = speckle_tie(pair.reference, pair.sample, setup=setup, material="nylon")
    assert phase_error(several, pair.phase) < phase_error(result, pair.phase)


def test_speckle_tie_solves_its_equation(tracked_setup, moved):
    """sample = reference · t − l ∇·(reference ∇t), written with neighbours' means, gives t back."""
    reference = moved(constant(0, 0)).reference[0].astype(float)
    t = 1 - 0.01 * np.exp(-((np.mgrid[:128, :128] - 63.5) ** 2).sum(axis=0) / 800)
    length = absorption_length_px2(tracked_setup, "pmma")
    sample = reference * t
    for axis in (0, 1):
        r, values = np.moveaxis(reference, axis, 0), np.moveaxis(t, axis, 0)
        flow = length * 0.5 * (r[1:] + r[:-1]) * np.diff(values, axis=0)
        flow = np.pad(flow, ((1, 1), (0, 0)))
        sample -= np.moveaxis(np.diff(flow, axis=0), 0, axis)
    result = speckle_tie(reference, sample, setup=tracked_setup, material="pmma")
    np.testing.assert_allclose(result.transmission, t, atol=2e-5)


def test_dark_field_of_mist_is_the_loss_of_visibility(moved, tracked_setup):
    known = moved(constant(0.0, 0.0), exposures=4, blur_px=0.3)
    result = mist(known.reference, known.sample, setup=tracked_setup, form="phase")
    # a blur of variance 2D px² along each axis, on images whose variance falls by twice as much
    assert np.median(result.dark_field) == pytest.approx(1 - 0.5 * 0.3**2 * 0.9, abs=0.02)
    assert np.median(result.dark_field) < 0.985


def test_laplacian_and_its_inverses(rng):
    n, m = 40, 50
    y, x = np.arange(n)[:, None] + 0.5, np.arange(m)[None, :] + 0.5
    wave = np.cos(3 * np.pi * y / n) * np.cos(5 * np.pi * x / m)
    squared = (3 * np.pi / n) ** 2 + (5 * np.pi / m) ** 2
    np.testing.assert_allclose(laplacian(wave), -squared * wave, atol=1e-5)
    np.testing.assert_allclose(paganin(wave + 7.0 * squared * wave, 7.0), wave, atol=1e-4)
    potential, alpha = inverse_laplacian(-squared * wave, 1e-12, window_taps(5, "hamming"))
    np.testing.assert_allclose(potential, wave, atol=1e-4)
    assert alpha < 1e-8


def test_tikhonov_grows_with_the_noise_and_lowers_the_error(rng):
    y, x = np.mgrid[:96, :96] - 47.5
    truth = -20 * np.exp(-(x**2 + y**2) / 300)
    taps = window_taps(7, "hamming")
    alphas, errors, plain = [], [], []
    for sigma in (1e-3, 1e-1, 1.0):
        noise = ndimage.correlate(rng.normal(size=truth.shape), np.outer(taps, taps))
        noise *= sigma / noise.std()
        curvature = laplacian(truth) + noise
        potential, alpha = inverse_laplacian(curvature, sigma**2, taps)
        unregularised, _ = inverse_laplacian(curvature, 0.0, taps)
        alphas.append(alpha)
        slope = np.gradient(truth)[0]
        errors.append(np.std(np.gradient(potential)[0] - slope))
        plain.append(np.std(np.gradient(unregularised)[0] - slope))
    assert alphas == sorted(alphas)
    assert alphas[-1] > 10 * alphas[0]
    assert errors[-1] < 0.7 * plain[-1]
    assert errors[0] < 0.05 * np.std(slope)


def test_coefficients_of_a_fit(rng):
    terms = rng.normal(size=(2, 3, 70, 20)).astype(np.float32)
    right = 0.5 * terms[0] - 2.0 * terms[1] + rng.normal(scale=0.1, size=terms.shape[1:]).astype(np.float32)
    found = fit_terms(terms, right, window_taps(5, "hamming"), 1.0)
    assert found.coefficients.shape == (2, 70, 20)
    np.testing.assert_allclose(found.coefficients.mean(axis=(1, 2)), (0.5, -2.0), atol=0.01)
    assert found.variance == pytest.approx(np.var(found.coefficients[0] - 0.5), rel=0.3)


@pytest.mark.parametrize("flow", [flow_ilk, flow_tvl1])
def test_optical_flow_has_our_sign_and_axes(flow, moved, tracked_setup):
    known = moved(lens(1.5, 40.0), transmission=0.8)
    result = flow(known.reference, known.sample, setup=tracked_setup)
    where = result.quality > 0.5
    for found, truth in ((result.dx, known.dx), (result.dy, known.dy)):
        assert np.polyfit(truth[where], found[where], 1)[0] == pytest.approx(1.0, abs=0.05)
    assert result.phase is not None
    assert result.parameters["exposures"] == 1


def test_optical_flow_says_what_to_install(monkeypatch, moved):
    known = moved(constant(0, 0))
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'specksim\[flow\]'"):
        flow_tvl1(known.reference, known.sample)


def test_bad_input_is_refused(moved, tracked_setup):
    known = moved(constant(0, 0), exposures=3)
    reference, sample = known.reference, known.sample
    cases = [
        (mist, 3, {}, "mist needs a setup"),
        (mist, 1, {"setup": tracked_setup}, "form 'phase' needs at least 2 exposures, got 1"),
        (mist, 3, {"setup": tracked_setup, "form": "phase-gradients"}, "needs at least 4 exposures, got 3"),
        (
            mist,
            3,
            {"setup": tracked_setup, "form": "magic"},
            "form must be one of attenuating, phase, .*'magic'",
        ),
        (mist, 3, {"setup": tracked_setup, "form": "attenuating"}, "needs the object's material"),
        (mist, 3, {"setup": tracked_setup, "material": "unobtainium"}, "unknown material"),
        (mist, 3, {"setup": tracked_setup, "window": 4}, "window must be an odd number"),
        (speckle_tie, 1, {}, "speckle-tie needs a setup"),
        (speckle_tie, 1, {"setup": tracked_setup}, "speckle-tie needs the object's material"),
        (flow_ilk, 1, {"window": 4}, "window must be an odd number"),
    ]
    for method, count, options, message in cases:
        with pytest.raises(ValueError, match=message):
            method(reference[:count], sample[:count], **options)
    needed = {mist: {"setup": tracked_setup}, speckle_tie: {"setup": tracked_setup, "material": "nylon"}}
    for method in (mist, speckle_tie, flow_tvl1, lcs):
        with pytest.raises(ValueError, match="one shape"):
            method(reference, sample[:2], **needed.get(method, {}))
