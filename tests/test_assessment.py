"""Visibility and speckle size on images whose answer is known."""

import math

import numpy as np
import pytest
from scipy import ndimage

from specksim.assessment import speckle_size_px, visibility


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def speckle(rng: np.random.Generator, sigma: tuple[float, float], side: int = 512) -> np.ndarray:
    """Gaussian-filtered noise, mean 1, standard deviation 0.1."""
    noise = ndimage.gaussian_filter(rng.standard_normal((side, side)), sigma, mode="wrap")
    return 1.0 + 0.1 * (noise - noise.mean()) / noise.std()


def test_visibility_is_standard_deviation_over_mean(rng):
    assert visibility(7.0 * speckle(rng, (2, 2))) == pytest.approx(0.1)


def test_visibility_of_a_sine_is_its_amplitude_over_root_two():
    image = np.tile(1.0 + 0.3 * np.sin(2 * np.pi * np.arange(64) / 16), (64, 1))
    assert visibility(image) == pytest.approx(0.3 / math.sqrt(2))


def test_visibility_without_photon_noise(rng):
    expected = 50.0 * speckle(rng, (2, 2))
    counts = rng.poisson(expected).astype(np.uint16)
    assert visibility(counts) > 0.15  # the noise alone is 0.14
    assert visibility(counts, counts.mean()) == pytest.approx(0.1, rel=0.05)


def test_visibility_is_zero_where_noise_explains_everything(rng):
    assert visibility(np.full((20, 20), 3)) == 0.0
    assert visibility(rng.poisson(100, (64, 64)), noise_variance=150.0) == 0.0


@pytest.mark.parametrize("sigma", [(1.5, 1.5), (2.0, 4.0), (5.0, 2.5)])
def test_size_of_filtered_noise_along_each_axis(rng, sigma):
    # the autocorrelation of noise filtered with sigma is a Gaussian of sigma √2
    expected = [s * math.sqrt(2) * 2 * math.sqrt(2 * math.log(2)) for s in sigma]
    assert speckle_size_px(speckle(rng, sigma)) == pytest.approx(expected, rel=0.06)


def test_size_without_photon_noise(rng):
    image = speckle(rng, (2, 2))
    counts = rng.poisson(50.0 * image)
    clean = speckle_size_px(image)
    assert speckle_size_px(counts)[0] < 0.8 * clean[0]
    assert speckle_size_px(counts, counts.mean()) == pytest.approx(clean, rel=0.08)


def test_size_does_not_depend_on_the_frames_shape(rng):
    image = speckle(rng, (2, 3))
    assert speckle_size_px(image[:200, :300]) == pytest.approx(speckle_size_px(image), rel=0.15)


def test_white_noise_is_one_pixel_wide(rng):
    # linear between lag 0 (1) and lag 1 (0): half is reached at 0.5
    assert speckle_size_px(1 + 0.1 * rng.standard_normal((256, 256))) == pytest.approx((1.0, 1.0), abs=0.05)


def test_an_image_without_speckle_has_no_size():
    assert all(map(math.isnan, speckle_size_px(np.ones((32, 32)))))


@pytest.mark.parametrize("measure", [visibility, speckle_size_px])
@pytest.mark.parametrize("shape", [(8,), (2, 8, 8), ()])
def test_only_images_are_measured(measure, shape):
    with pytest.raises(ValueError, match="must be 2-D, got shape"):
        measure(np.ones(shape))


@pytest.mark.parametrize("measure", [visibility, speckle_size_px])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_the_mean_must_be_positive(measure, value):
    with pytest.raises(ValueError, match="mean must be > 0"):
        measure(np.full((8, 8), value))


def test_a_wide_speckle_in_a_small_frame_is_not_taken_for_a_narrow_one():
    # without regard to the overlap of shifted frames, the correlation would fall off with the lag
    rng = np.random.default_rng(0)
    widths = []
    for _ in range(60):
        wide = ndimage.gaussian_filter(rng.standard_normal((256, 256)), 6.0, mode="wrap")[:64, :64]
        widths.append(speckle_size_px(5.0 + wide / wide.std())[0])
    # a Gaussian filter of sigma s correlates like a Gaussian of sigma s √2; its FWHM is 2.355 s √2. The
    # frame's own mean, which is subtracted, takes a little away
    assert np.median(widths) == pytest.approx(2.355 * 6.0 * 2**0.5, rel=0.12)
