"""Blur, binning and photon statistics of the detector."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.ndimage import gaussian_filter1d

from specksim import Setup, detector
from specksim.optics.rays import deposit

N = 4  # rays per pixel


def test_expected_image_is_a_gaussian_blur_and_a_mean_over_each_pixel(rng):
    light = rng.random((40, 56)).astype(np.float32)
    image = detector.expected_image(light, detector.gaussian_taps(2.0), N, (5, 9))
    blurred = gaussian_filter1d(gaussian_filter1d(light.astype(float), 2.0, axis=0), 2.0, axis=1)
    centred = blurred[10:30, 10:46].reshape(5, N, 9, N).mean((1, 3))
    assert image.dtype == np.float32
    assert np.allclose(image, centred, rtol=1e-5)


def test_pixel_without_blur_is_a_plain_mean_of_the_middle(rng):
    cells = rng.random((24, 32)).astype(np.float32)
    expected = cells[4:20, 8:24].reshape(4, N, 4, N).mean((1, 3))
    assert np.allclose(detector.bin_mean(cells, N, (4, 4)), expected, rtol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.0, 2.7])
def test_taps_are_symmetric_and_sum_to_one(sigma):
    taps = detector.gaussian_taps(sigma)
    assert len(taps) % 2 == 1
    assert np.array_equal(taps, taps[::-1])
    assert taps.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("deposited", [True, False])
@pytest.mark.parametrize("sigma_px", [0.3, 0.5, 1.2])
def test_blur_has_the_variance_of_the_detector_with_the_spline_counted(sigma_px, deposited):
    taps = detector.blur_taps(sigma_px, N, deposited)
    place = np.arange(len(taps)) - len(taps) // 2
    spline = 0.25 if deposited else 0.0
    assert (taps * place**2).sum() + spline == pytest.approx((N * sigma_px) ** 2, rel=5e-3)


@pytest.mark.parametrize("sigma_px", [0.0, 0.1, 0.5, 1.0])
def test_rays_at_rest_and_deposited_rays_are_blurred_alike(rng, sigma_px):
    light = rng.exponential(size=(96, 96)).astype(np.float32)
    still = np.zeros_like(light)
    reference = detector.expected_image(light, detector.blur_taps(sigma_px, N, deposited=False), N, (12, 12))
    sample = detector.expected_image(
        deposit(light, still, still), detector.blur_taps(sigma_px, N, deposited=True), N, (12, 12)
    )
    assert np.allclose(sample, reference, rtol=2e-6)


@given(shift=st.floats(-3, 3))
def test_blur_does_not_depend_on_the_sub_pixel_shift(shift):
    # image of a point source, moved along x: its mean moves and its variance stays
    shift = float(np.float32(shift))
    light = np.zeros((96, 96), np.float32)
    light[48, 48] = 1.0
    moved = deposit(light, np.full_like(light, shift), np.zeros_like(light))
    image = detector.expected_image(moved, detector.blur_taps(0.5, N, deposited=True), 1, (64, 64)).astype(
        float
    )
    place = np.arange(64) + 16 - 48
    profile = image.sum(axis=0)
    mean = (profile * place).sum()
    assert mean == pytest.approx(shift, abs=1e-5)
    assert (profile * (place - mean) ** 2).sum() == pytest.approx(4.0, rel=1e-3)


def test_mean_is_conserved():
    light = np.full((80, 80), 0.7, np.float32)
    image = detector.expected_image(light, detector.blur_taps(0.5, N, deposited=False), N, (12, 12))
    assert np.allclose(image, 0.7, rtol=1e-6)


def test_light_of_a_spot_inside_is_conserved(rng):
    light = np.zeros((96, 96), np.float32)
    light[40:56, 40:56] = rng.random((16, 16))
    image = detector.expected_image(light, detector.blur_taps(0.5, N, deposited=False), N, (18, 18))
    assert image.sum() * N**2 == pytest.approx(light.sum(), rel=1e-5)


def test_margin_narrower_than_the_blur_is_refused():
    taps = detector.blur_taps(0.5, N, deposited=False)  # 9 rays on either side
    detector.expected_image(np.ones((58, 58), np.float32), taps, N, (10, 10))
    with pytest.raises(ValueError, match="margin around the frame is narrower than the blur by 1 rays"):
        detector.expected_image(np.ones((58, 56), np.float32), taps, N, (10, 10))


def test_python_kernels_agree_with_the_compiled_ones(rng):
    light = rng.random((14, 18)).astype(np.float32)
    weights = rng.random(5).astype(np.float32)
    columns, rows = np.empty((2, 14, 3), np.float32), np.empty((2, 2, 18), np.float32)
    for k, (first, second) in enumerate(
        [
            (detector._weighted_columns, detector._weighted_rows),
            (detector._weighted_columns.py_func, detector._weighted_rows.py_func),
        ]
    ):
        first(light, weights, 1, 4, columns[k])
        second(light, weights, 2, 3, rows[k])
    assert np.allclose(*columns, rtol=1e-5)
    assert np.allclose(*rows, rtol=1e-5)


def counting(photons):
    return Setup().with_values(detector__photons_per_pixel=photons)


def test_counts_are_poisson(rng):
    expected = np.full((300, 300), 0.9, np.float32)
    counts = detector.expose(expected, counting(100.0), rng)
    assert counts.dtype == np.uint16
    mean, variance, n = counts.mean(), counts.var(), counts.size
    assert mean == pytest.approx(90.0, abs=4 * math.sqrt(90.0 / n))
    # variance of the sample variance of a Poisson law: (m + 2 m²) / n
    assert variance == pytest.approx(90.0, abs=4 * math.sqrt((90.0 + 2 * 90.0**2) / n))
    edges = np.arange(70, 111)
    observed = np.bincount(np.clip(counts.ravel(), 69, 110))[69:]
    law = stats.poisson(90.0 * float(np.float32(0.9)) / 0.9)
    shares = np.concatenate([[law.cdf(69)], law.pmf(edges[:-1]), [law.sf(109)]])
    assert stats.chisquare(observed, n * shares / shares.sum()).pvalue > 1e-4


@pytest.mark.parametrize("mean", [0.3, 4.0, 9.99, 10.0, 14.5, 60.0, 2000.0, 3e5])
def test_counts_have_the_law_of_poisson(rng, mean):
    counts = detector.poisson_counts(np.full(200_000, mean), rng)
    law = stats.poisson(mean)
    edges = np.unique(law.ppf([0.001, 0.01, *np.linspace(0.05, 0.95, 19), 0.99, 0.999]))
    observed = np.bincount(np.searchsorted(edges, counts), minlength=len(edges) + 1)
    shares = np.diff([0.0, *law.cdf(edges), 1.0])
    assert stats.chisquare(observed, shares * counts.size).pvalue > 1e-4
    assert counts.mean() == pytest.approx(mean, abs=4 * math.sqrt(mean / counts.size))


def test_python_kernels_draw_the_same_counts_as_the_compiled_ones(monkeypatch):
    means = np.repeat([0.0, 0.5, 9.0, 12.0, 50.0, 900.0], 100).reshape(20, 30)
    compiled = detector.poisson_counts(means, np.random.default_rng(4))
    for name in ("_propose", "_settle", "_hat", "_accepts", "_probability", "_count_few"):
        monkeypatch.setattr(detector, name, getattr(detector, name).py_func)
    assert np.array_equal(detector.poisson_counts(means, np.random.default_rng(4)), compiled)
    assert (compiled[means == 0] == 0).all()


@pytest.mark.parametrize("count", [0.0, 3.0, 9.0, 10.0, 57.0, 2000.0, 3e5])
@pytest.mark.parametrize("mean", [10.0, 60.0, 2000.0, 3e5])
def test_the_probability_of_a_count_is_that_of_poisson(count, mean):
    law = stats.poisson(mean).pmf(count)
    assert detector._probability(count, mean) == pytest.approx(law, rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("count", [10.0, 12.0, 57.0])
@pytest.mark.parametrize("mean", [10.0, 60.0])
def test_the_series_of_stirling_is_exact_from_ten_on(count, mean):
    exact = math.exp(count * math.log(mean) - mean) / math.factorial(int(count))
    assert detector._probability(count, mean) == pytest.approx(exact, rel=3e-13)


def test_no_mean_divides_by_zero(rng):
    for means in (np.full(10, ((2.0 - 0.931) / 2.53) ** 2), np.linspace(0.178, 0.179, 100_000)):
        counts = detector.poisson_counts(means, rng)
        assert counts.min() >= 0
        assert counts.mean() == pytest.approx(means.mean(), abs=4 * math.sqrt(0.18 / means.size))


@pytest.mark.parametrize("bad", [-1e-9, np.nan, np.inf])
def test_an_expected_image_that_is_none_is_refused(rng, bad):
    with pytest.raises(ValueError, match="must be finite and >= 0"):
        detector.poisson_counts(np.array([[1.0, bad]]), rng)


def test_noise_of_different_pixels_is_independent(rng):
    noise = detector.expose(np.ones((200, 200)), counting(400.0), rng) - 400.0
    for axis in (0, 1):
        neighbours = (noise * np.roll(noise, 1, axis=axis)).mean() / noise.var()
        assert abs(neighbours) < 4 / 200


def test_brightness_of_each_pixel_sets_its_count(rng):
    expected = np.tile([[0.0, 1.0, 3.0]], (2000, 1))
    assert detector.expose(expected, counting(500.0), rng).mean(0) == pytest.approx(
        [0.0, 500.0, 1500.0], rel=5e-3
    )


def test_without_noise_the_expected_image_comes_back(rng):
    expected = rng.random((4, 4))
    before = rng.bit_generator.state
    image = detector.expose(expected, counting(math.inf), rng)
    assert image.dtype == np.float32
    assert np.array_equal(image, expected.astype(np.float32))
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(
    ("photons", "dtype"),
    [(1.0, np.uint16), (2000.0, np.uint16), (2047.0, np.uint16), (2048.0, np.uint32), (math.inf, np.float32)],
)
def test_counts_are_stored_in_the_least_type_that_holds_32_times_the_mean(photons, dtype):
    assert detector.count_dtype(counting(photons)) is dtype


def test_fine_pixels_leave_room_for_caustics():
    fine = Setup().with_values(detector__pixel_size_um=0.8)
    assert detector.count_dtype(fine) is np.uint32


@pytest.mark.parametrize(("photons", "name"), [(2000.0, "uint16"), (1e8, "uint32")])
def test_count_that_does_not_fit_is_refused(rng, photons, name):
    with pytest.raises(ValueError, match=f"does not fit into {name}: lower detector.photons_per_pixel"):
        detector.expose(np.array([[1.0, 45.0]]), counting(photons), rng)


# ---- read-out ---------------------------------------------------------------------------------------


def camera(photons=1000.0, **values):
    return Setup().with_values(
        detector__photons_per_pixel=photons, **{f"detector__{key}": value for key, value in values.items()}
    )


def test_the_default_detector_is_photon_noise_alone(rng):
    expected = rng.random((50, 50))
    counts = detector.expose(expected, camera(), np.random.default_rng(3))
    assert np.array_equal(counts, detector.poisson_counts(1000.0 * expected, np.random.default_rng(3)))
    assert detector.saturation_level(camera()) is None


def test_mean_and_variance_are_those_of_emva_1288(rng):
    # μ_y = K (μ_p + μ_d) + offset; σ_y² = K² (μ_p + μ_d + σ_read²) + 1/12
    setup = camera(200.0, dark_counts=30.0, read_noise_counts=6.0, gain=2.5, offset=100.0)
    grey = detector.expose(np.full((400, 400), 0.5), setup, rng)
    assert grey.dtype == np.uint16
    variance = 2.5**2 * (100 + 30 + 36) + 1 / 12
    assert grey.mean() == pytest.approx(2.5 * 130 + 100, abs=4 * math.sqrt(variance) / 400)
    assert grey.var() == pytest.approx(variance, rel=4 * math.sqrt(2) / 400)
    photons = detector.photon_counts(grey, setup)
    assert photons.mean() == pytest.approx(100.0, abs=0.2)
    assert photons.var() == pytest.approx(detector.noise_variance(100.0, setup), rel=0.015)


def test_photon_transfer_gives_the_gain_back(rng):
    # the slope of variance over mean grey value is the gain, whatever dark count and read noise
    setup = camera(500.0, dark_counts=20.0, read_noise_counts=4.0, gain=0.7, offset=50.0)
    images = [detector.expose(np.full((300, 300), level), setup, rng) for level in (0.2, 1.0, 4.0, 8.0)]
    slope = np.polyfit([image.mean() for image in images], [image.var() for image in images], 1)[0]
    assert slope == pytest.approx(0.7, rel=0.02)


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ({"bit_depth": 12}, 4095),
        ({"full_well_counts": 1500.0}, 1500),
        ({"full_well_counts": 1500.0, "gain": 2.0, "offset": 10.0}, 3010),
        ({"full_well_counts": 1500.0, "gain": 8.0, "bit_depth": 12}, 4095),
        ({"bit_depth": 32}, 2**32 - 1),
    ],
)
def test_pixels_saturate_at_full_well_or_at_the_largest_grey_value(rng, values, level):
    setup = camera(**values)
    assert detector.saturation_level(setup) == level
    grey = detector.expose(np.array([[0.1, 1e7 if level > 1e9 else 50.0]]), setup, rng)
    assert grey[0, 1] == level
    assert grey[0, 0] < level
    assert grey.dtype == (np.uint16 if level < 2**16 else np.uint32)


def test_read_noise_does_not_go_below_zero(rng):
    grey = detector.expose(np.zeros((100, 100)), camera(read_noise_counts=5.0), rng)
    assert (grey == 0).mean() == pytest.approx(0.54, abs=0.03)  # P(N(0, 5) < 1/2)
    assert grey.max() > 10


def test_the_type_holds_gain_and_offset():
    assert detector.count_dtype(camera(2000.0, gain=2.0)) is np.uint32
    assert detector.count_dtype(camera(2000.0, gain=2.0, bit_depth=16)) is np.uint16
    assert detector.count_dtype(camera(2000.0, gain=0.1, offset=100.0)) is np.uint16
    assert detector.count_dtype(camera(100.0, bit_depth=24)) is np.uint32


def test_images_without_noise_have_no_variance():
    assert detector.noise_variance(1.0, camera(math.inf)) == 0.0
    assert np.array_equal(detector.photon_counts(np.array([0.5, 2.0]), camera(math.inf)), [0.5, 2.0])
