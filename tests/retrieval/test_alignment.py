"""Drift, flux, and how well a displacement explains a pair."""

import numpy as np
import pytest
from scipy import ndimage

from specksim.retrieval.alignment import Drift, compare, find_drift, flux_ratio, shift_back


def speckle(shape=(128, 160), seed=0, sigma=1.5):
    """A smooth random pattern of mean 1000 and visibility 0.3, as large as asked for and a margin of 64."""
    noise = np.random.default_rng(seed).normal(size=tuple(size + 128 for size in shape))
    pattern = ndimage.gaussian_filter(noise, sigma)
    return (1000 * (1 + 0.3 * pattern / pattern.std())).clip(0).astype(np.float32)


def drifted(dx, dy, shape=(128, 160)):
    """Reference and sample of one pattern, which has moved by (dx, dy) and brought in what was outside."""
    large = speckle(shape)
    crop = [slice(64, -64)] * 2
    moved = ndimage.shift(large, (dy, dx), order=3)
    return large[*crop], moved[*crop]


@pytest.mark.parametrize("shift", [(0, 0), (5, 0), (0, -7), (23, -18), (-31, 30)])
@pytest.mark.parametrize("photons", [None, 20])
def test_drift_of_the_pattern(shift, photons):
    reference, sample = drifted(*shift)
    if photons:
        rng = np.random.default_rng(1)
        reference, sample = (
            rng.poisson(image * photons / 1000).astype(np.float32) for image in (reference, sample)
        )
    drift = find_drift(reference, sample)
    assert drift == Drift(*shift, True)
    back = shift_back(sample, drift)
    inside = (slice(32, -32), slice(32, -32))
    assert np.corrcoef(back[inside].ravel(), reference[inside].ravel())[0, 1] > (0.3 if photons else 0.99)


def test_the_beams_profile_does_not_hide_the_drift():
    reference, sample = drifted(12, 4)
    profile = np.exp(-0.5 * ((np.arange(160) - 60) / 50) ** 2).astype(np.float32)
    assert find_drift(reference * profile, sample * profile) == Drift(12, 4, True)


def test_unrelated_images_have_no_drift():
    found = find_drift(speckle(seed=1), speckle(seed=2))
    assert found == Drift(0, 0, False)
    flat = np.ones((64, 64), np.float32)
    assert find_drift(flat, flat) == Drift(0, 0, False)


def test_flux_is_that_of_the_background():
    reference, sample = drifted(0, 0)
    sample = 0.8 * sample
    sample[:60, :80] *= 0.3  # an object over less than half of the frame
    assert flux_ratio(reference, sample) == pytest.approx(0.8, abs=1e-3)
    assert flux_ratio(reference, reference) == 1.0
    assert flux_ratio(reference, np.zeros_like(reference)) == 1.0


def test_transmission_of_a_lens_that_spreads_the_light():
    """sample(x + d) = t reference(x) / det, for d = a (x − centre): det = (1 + a)²."""
    a, t = 0.02, 0.7
    large = speckle(sigma=3.0)[:256, :256]
    place = np.indices(large.shape, dtype=np.float64) - 127.5
    sample = t / (1 + a) ** 2 * ndimage.map_coordinates(large, place / (1 + a) + 127.5, order=3)
    dy, dx = (a * place).astype(np.float32)
    quality, transmission = compare(large, sample.astype(np.float32), dx, dy)
    inside = (slice(16, -16), slice(16, -16))
    np.testing.assert_allclose(transmission[inside], t, rtol=0.03)  # linear interpolation between pixels
    assert np.median(transmission[inside]) == pytest.approx(t, rel=0.002)
    assert quality[inside].min() > 0.98
    assert compare(large, sample.astype(np.float32), -dx, -dy)[0][inside].min() < 0.5


def test_quality_flags_what_is_not_known():
    reference, sample = drifted(20, 0)
    quality, _ = compare(reference, sample, np.full_like(reference, 20), np.zeros_like(reference))
    np.testing.assert_array_equal(quality[:, -20:], 0.0)  # has moved out of the frame
    for edge in (quality[:8], quality[-8:], quality[:, :8]):
        np.testing.assert_array_equal(edge, 0.0)
    assert quality[8:-8, 8:-29].min() > 0.9
    reference[40:80, 40:80] = 0.0  # a dead patch of the detector
    quality, transmission = compare(reference, sample, np.zeros_like(reference), np.zeros_like(reference))
    assert np.isfinite(quality).all()
    assert np.isfinite(transmission).all()
    np.testing.assert_array_equal(quality[50:70, 50:70], 0.0)
    np.testing.assert_array_equal(transmission[50:70, 50:70], 0.0)
