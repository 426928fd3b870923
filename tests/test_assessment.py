"""Visibility and speckle size on images whose answer is known."""

import math

import numpy as np
import pytest
from scipy import ndimage

from specksim.assessment import (
    WINDOWS,
    assess,
    displacement_bound_px,
    highest_frequencies,
    mean_assessment,
    speckle_size_px,
    visibility,
)


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


@pytest.mark.parametrize("window", [7, 13])
def test_bound_of_two_sines_is_known(window):
    # mean squares of the gradients are (A k)² / 2 along each axis
    y, x = np.mgrid[:256, :256]
    ky, kx = 2 * np.pi / 16, 2 * np.pi / 8
    image = 5000.0 + 1000.0 * np.sin(ky * y) + 500.0 * np.sin(kx * x)
    sigma_y, sigma_x = displacement_bound_px(image, window, 4.0)
    assert sigma_y == pytest.approx(math.sqrt(2 * 4.0 / (window**2 * (1000.0 * ky) ** 2 / 2)), rel=2e-3)
    assert sigma_x == pytest.approx(math.sqrt(2 * 4.0 / (window**2 * (500.0 * kx) ** 2 / 2)), rel=2e-3)


def test_bound_of_a_pattern_with_slanting_gradients():
    # isotropic power but for one wave along the diagonal: Cov = 2σ² (N G)⁻¹ with a full G
    y, x = np.mgrid[:256, :256]
    k = 2 * np.pi / 16
    image = 5e3 + 600 * np.sin(k * y) + 600 * np.sin(k * x + 1.0) + 900 * np.sin(k * (x + y) + 2.0)
    gradients = 0.5 * k**2 * (600**2 * np.eye(2) + 900**2 * np.ones((2, 2)))
    expected = np.sqrt(np.diag(2 * np.linalg.inv(81 * gradients)))
    assert displacement_bound_px(image, 9, 1.0) == pytest.approx(expected, rel=5e-3)


def test_noise_is_taken_off_the_gradients(rng):
    clean = 1e4 * speckle(rng, (2, 3))
    noisy = clean + 300.0 * rng.standard_normal(clean.shape)  # its gradients exceed those of the speckle
    expected = 300.0 * np.array(displacement_bound_px(clean, 13, 1.0))
    assert displacement_bound_px(noisy, 13, 9e4) == pytest.approx(expected, rel=0.05)


def test_the_bound_is_met_by_the_best_estimate_of_a_small_shift(rng):
    # least squares on the gradients of a reference without noise is efficient: its error is the bound of one
    # noisy image, 1/√2 of that of two
    clean = 1e3 * speckle(rng, (2, 2))
    wave = 2j * np.pi * np.fft.fftfreq(512)  # the pattern is periodic
    gradients = [np.fft.ifft2(np.fft.fft2(clean) * k).real for k in (wave[:, None], wave)]
    errors = []
    for row in range(0, 500, 100):
        for column in range(0, 500, 100):
            window = np.s_[row : row + 100, column : column + 100]
            design = np.stack([gradient[window].ravel() for gradient in gradients], axis=1)
            noise = 2.0 * rng.standard_normal((10_000, 60))
            errors.append(np.linalg.lstsq(design, noise, rcond=None)[0].T)
    deviation = np.concatenate(errors).std(axis=0)
    assert math.sqrt(2) * deviation == pytest.approx(displacement_bound_px(clean, 100, 4.0), rel=0.1)


def test_the_bound_without_noise_is_zero_and_without_gradients_infinite(rng):
    assert displacement_bound_px(speckle(rng, (2, 2)), 13, 0.0) == (0.0, 0.0)
    assert displacement_bound_px(np.full((64, 64), 5.0), 13, 1.0) == (math.inf, math.inf)
    stripes = np.tile(5e3 + 1e3 * np.sin(np.arange(64) / 2), (64, 1))
    sigma_y, sigma_x = displacement_bound_px(stripes, 13, 1.0)
    assert sigma_y > 8 * sigma_x


@pytest.mark.parametrize(
    ("window", "variance", "words"),
    [(0, 1.0, "window must be >= 1, got 0"), (5, -1.0, "noise_variance must be >= 0"), (5, math.nan, ">= 0")],
)
def test_bound_of_nonsense_is_refused(window, variance, words, rng):
    with pytest.raises(ValueError, match=words):
        displacement_bound_px(speckle(rng, (2, 2), 32), window, variance)


def test_white_noise_is_read_from_the_highest_frequencies(rng):
    image = 1e4 * speckle(rng, (2, 2))
    noisy = image + 70.0 * rng.standard_normal(image.shape)
    assert highest_frequencies(noisy) == pytest.approx(4900.0, rel=0.03)
    assert highest_frequencies(image) < 1.0


def test_an_assessment_holds_every_measure(rng):
    image = rng.poisson(900 * speckle(rng, (1.5, 2))).astype(np.uint16)
    found = assess(image, image.mean())
    assert found.mean == image.mean()
    assert found.photons == pytest.approx(900, rel=0.01)
    assert found.visibility == visibility(image, image.mean())
    assert found.size_px == speckle_size_px(image, image.mean())
    assert set(found.bounds_px) == set(WINDOWS)
    assert found.bounds_px[13] == displacement_bound_px(image, 13, image.mean())
    assert assess(image).photons == pytest.approx(900, rel=0.05)
    assert assess(image, 0.0).photons == math.inf


def test_a_mean_is_of_every_figure(rng):
    parts = [assess(900 * speckle(rng, (2, 2), 64), noise) for noise in (10.0, 20.0)]
    mean = mean_assessment(parts)
    assert mean.noise_variance == 15.0
    assert mean.visibility == pytest.approx((parts[0].visibility + parts[1].visibility) / 2)
    assert mean.size_px[1] == pytest.approx((parts[0].size_px[1] + parts[1].size_px[1]) / 2)
    assert mean.bounds_px[21][0] == pytest.approx((parts[0].bounds_px[21][0] + parts[1].bounds_px[21][0]) / 2)


@pytest.mark.parametrize(
    ("sigma", "contrast", "noise", "words"),
    [
        ((1.5, 1.5), 2.0, 100.0, None),
        ((1.5, 1.5), 0.5, 1.0, "too weak: visibility 0.050 is below 0.1"),
        ((0.4, 1.5), 2.0, 100.0, "too fine: 1"),
        ((1.5, 8.0), 2.0, 100.0, "too coarse: 2"),
        ((1.5, 1.5), 2.0, 4e5, "too noisy: in 13 × 13 pixels"),
    ],
)
def test_advice_names_what_is_wrong(sigma, contrast, noise, words, rng):
    image = 1e4 * (1 + contrast * (speckle(rng, sigma) - 1))
    image += math.sqrt(noise) * rng.standard_normal(image.shape)
    advice = assess(image, noise).advice()
    assert [line[: len(words or "")] for line in advice] == ([words] if words else [])


def test_a_pattern_wider_than_the_frame_is_too_coarse(rng):
    ramp = np.tile(np.linspace(1, 2, 64), (64, 1)) + 0.01 * rng.standard_normal((64, 64))
    assert any(line.startswith("too coarse: ") for line in assess(ramp, 1e-4).advice())


def test_a_tiny_image_is_not_assessed():
    with pytest.raises(ValueError, match="must be at least 16 pixels wide and high"):
        assess(np.ones((64, 15)))
