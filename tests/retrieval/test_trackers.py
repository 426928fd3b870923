"""UMPA, XST and LCS on speckle whose displacement is known: accuracy, sign, grid, flags and refusals."""

import numpy as np
import pytest
from scipy import ndimage

from specksim.retrieval import lcs, umpa, xst
from specksim.retrieval.alignment import area_ratio
from specksim.retrieval.tracking import prepare
from tests.retrieval.conftest import constant, lens, waves


def umpa_dark(reference, sample, **options):
    return umpa(reference, sample, dark_field=True, **options)


TRACKERS = {"umpa": umpa, "umpa with dark field": umpa_dark, "xst": xst, "lcs": lcs}
every_tracker = pytest.mark.parametrize("track", TRACKERS.values(), ids=TRACKERS)


def trusted(result):
    """Pixels to be trusted: a good quality, which leaves out the border."""
    where = result.quality > 0.5
    assert where.mean() > 0.5
    return where


@every_tracker
def test_identical_images_have_not_moved(track, moved):
    known = moved(constant(0, 0))
    result = track(known.reference, known.reference)
    where = trusted(result)
    assert np.abs(result.dx[where]).max() < 1e-6
    assert np.abs(result.dy[where]).max() < 1e-6
    np.testing.assert_allclose(result.transmission, 1.0, atol=1e-5)
    assert (result.quality[6:-6, 6:-6] > 0.999).all()
    if result.dark_field is not None:
        np.testing.assert_allclose(result.dark_field, 1.0, atol=1e-4)


@every_tracker
@pytest.mark.parametrize("shift", [(0.25, 0.0), (0.5, -0.25), (3.3, -1.6)])
def test_bias_of_a_constant_shift(track, shift, moved):
    known = moved(constant(*shift))
    result = track(known.reference, known.sample)
    where = trusted(result)
    assert abs(np.mean(result.dx[where]) - shift[0]) < 0.005
    assert abs(np.mean(result.dy[where]) - shift[1]) < 0.005
    assert np.std(result.dx[where]) < 0.01


@every_tracker
def test_smooth_displacements_keep_their_size(track, moved):
    known = moved(waves(0.8, 0.5))
    result = track(known.reference, known.sample, window=9)
    where = trusted(result)
    for found, truth in ((result.dx, known.dx), (result.dy, known.dy)):
        slope, offset = np.polyfit(truth[where], found[where], 1)
        assert slope == pytest.approx(1.0, abs=0.01)
        assert abs(offset) < 0.005


@every_tracker
def test_a_strong_lens_on_the_references_grid(track, moved):
    """What is found belongs to where light comes from, not to where it arrives."""
    known = moved(lens(4.0, 40.0), transmission=0.8)
    result = track(known.reference, known.sample, max_shift=6, window=9)
    where = trusted(result)

    def error(truth):
        return np.sqrt(np.mean((result.dx - truth)[where] ** 2))

    rows, columns = np.mgrid[:128, :128].astype(float)
    u = known.dx.copy()  # u(y) = d(y − u(y)): the same on the sample's grid
    v = known.dy.copy()
    for _ in range(30):
        place = [rows - v, columns - u]
        u, v = (
            ndimage.map_coordinates(part, place, order=1, mode="nearest") for part in (known.dx, known.dy)
        )
    assert np.abs(u - known.dx)[where].max() > 0.25
    assert error(known.dx) < 0.7 * error(u)
    slopes = [np.polyfit((u - known.dx)[where], (result.dx - truth)[where], 1)[0] for truth in (known.dx, u)]
    np.testing.assert_allclose(slopes, (0.0, -1.0), atol=0.1)
    assert error(known.dx) < (0.04 if track is lcs else 0.12)
    spread = known.transmission / area_ratio(known.dx, known.dy)
    assert np.sqrt(np.mean((result.transmission - spread)[where] ** 2)) < 0.025
    assert np.sqrt(np.mean((result.transmission - known.transmission)[where] ** 2)) > 0.06


@every_tracker
def test_axes_do_not_differ(track, moved):
    known = moved(waves(1.5, 0.4), photons=1000)
    result = track(known.reference, known.sample)
    turned = track(known.reference.swapaxes(1, 2), known.sample.swapaxes(1, 2))
    np.testing.assert_allclose(turned.dx.T, result.dy, atol=2e-4)
    np.testing.assert_allclose(turned.quality.T, result.quality, atol=1e-3)


@every_tracker
def test_more_exposures_lower_the_noise(track, moved):
    known = moved(constant(0.4, 0.1), exposures=6, photons=300)
    errors = []
    for count in (1, 6):
        result = track(known.reference[:count], known.sample[:count], window=9)
        where = trusted(result)
        errors.append(np.std(result.dx[where]))
        assert np.median(result.dx_error) == pytest.approx(errors[-1], rel=0.25)
        assert result.parameters["exposures"] == count
    assert errors[1] == pytest.approx(errors[0] / np.sqrt(6), rel=0.25)


def test_scale_and_type_of_counts_do_not_matter(moved):
    known = moved(constant(0.4, 0.1), photons=500)
    result = umpa(known.reference[0], known.sample[0])
    counts = umpa(*(images[0].astype(np.uint16) for images in (known.reference, known.sample)))
    np.testing.assert_array_equal(result.dx, counts.dx)
    larger = umpa(100 * known.reference, 100 * known.sample)
    np.testing.assert_allclose(result.dx, larger.dx, atol=1e-4)


@pytest.mark.parametrize("track", [umpa_dark, xst])
def test_dark_field_is_the_loss_of_visibility(track, moved):
    known = moved(constant(0.0, 0.0), transmission=0.7, blur_px=0.6)
    result = track(known.reference, known.sample)
    where = trusted(result)
    images = prepare(known.reference, known.sample, "test")
    # of a blurred speckle the part that is still the reference's pattern
    both = np.cov(images.sample.ravel(), images.reference.ravel())
    expected = both[0, 1] / both[1, 1] * images.reference.mean() / images.sample.mean()
    assert expected < 0.9
    assert np.median(result.dark_field[where]) == pytest.approx(
        expected, abs=0.04
    )  # windows leave out what is larger
    assert np.median(result.transmission[where]) == pytest.approx(0.7, abs=0.005)


def test_dark_field_of_several_exposures_leaves_the_displacement_alone(moved):
    known = moved(constant(0.3, -0.2), transmission=0.7, blur_px=0.6, exposures=3)
    result = umpa(known.reference, known.sample, dark_field=True)
    where = trusted(result)
    assert np.mean(result.dx[where]) == pytest.approx(0.3, abs=0.01)
    assert np.mean(result.dy[where]) == pytest.approx(-0.2, abs=0.01)
    assert np.median(result.transmission[where]) == pytest.approx(0.7, abs=0.005)


def test_lcs_pixel_by_pixel(moved):
    known = moved(waves(0.6, 0.3), exposures=8)
    result = lcs(known.reference, known.sample, window=1)
    where = trusted(result)
    assert np.sqrt(np.mean((result.dx - known.dx)[where] ** 2)) < 0.03
    assert abs(np.mean((result.dx - known.dx)[where])) < 0.005
    with pytest.raises(ValueError, match=r"window 1 \(pixel by pixel\) needs at least 3 exposures, got 2"):
        lcs(known.reference[:2], known.sample[:2], window=1)


@every_tracker
def test_dead_pixels_and_dark_places_are_flagged(track, moved):
    known = moved(constant(0.5, 0.25))
    reference, sample = known.reference.copy(), known.sample.copy()
    for images in (reference, sample):
        images[:, 60, 40] = 0.0  # a dead pixel
        images[:, 80:110, 80:110] = 0.0  # and a place without light
    result = track(reference, sample)
    for name, values in result.maps().items():
        assert np.isfinite(values).all(), name
    assert (result.quality[86:104, 86:104] == 0).all()
    assert result.quality[60, 40] < 1
    whole = track(known.reference, known.sample)
    assert abs(result.dx - whole.dx)[56:65, 36:45].max() < 0.02
    far = (slice(10, 50), slice(60, 118))
    np.testing.assert_allclose(result.dx[far], whole.dx[far], atol=1e-4)


def test_zeros_of_low_counts_are_counts(moved):
    known = moved(constant(0, 0), photons=3)
    assert (known.reference == 0).mean() > 0.03
    result = umpa(known.reference, known.sample)
    assert (result.quality[10:-10, 10:-10] > 0).mean() > 0.9


def test_shifts_beyond_the_range_are_flagged(moved):
    known = moved(constant(5.0, 0.0))
    assert (umpa(known.reference, known.sample, max_shift=2).quality > 0.5).mean() < 0.1
    assert np.median(umpa(known.reference, known.sample, max_shift=6).dx) == pytest.approx(5.0, abs=0.01)


def test_unrelated_images_have_little_quality(moved):
    known, other = moved(constant(0, 0)), moved(constant(0, 0), seed=7)
    assert np.median(umpa(known.reference, other.sample).quality) < 0.5


@every_tracker
def test_phase_with_a_setup(track, moved, tracked_setup):
    known = moved(waves(0.8, 0.5))
    result = track(known.reference, known.sample, setup=tracked_setup)
    truth = np.gradient(result.phase, axis=1)
    from specksim.retrieval.integration import radians_per_pixel

    where = trusted(result)
    slope = np.polyfit(known.dx[where], truth[where], 1)[0]
    assert track(known.reference, known.sample).phase is None
    assert np.isfinite(result.phase).all()
    assert slope > 0.3 * radians_per_pixel(tracked_setup)  # the waves are no gradient of a potential


def test_the_window_shrinks_with_the_exposures(moved):
    known = moved(constant(0, 0), exposures=10)
    sizes = [umpa(known.reference[:k], known.sample[:k]).parameters["window_px"] for k in (1, 4, 10)]
    assert sizes == [13, 9, 7]


def test_a_small_frame(moved):
    known = moved(constant(0.3, 0.0))
    cut = [images[:, 50:66, 50:70] for images in (known.reference, known.sample)]
    for track in (umpa, xst, lcs):
        assert track(*cut).dx.shape == (16, 20)


BAD = np.random.default_rng(3).uniform(0.5, 1.5, (32, 32))


@every_tracker
@pytest.mark.parametrize(
    ("reference", "sample", "options", "message"),
    [
        (BAD, BAD[:, :30], {}, r"one shape, got \(32, 32\) and \(32, 30\)"),
        (BAD[0], BAD[0], {}, r"reference must be \(H, W\) or \(K, H, W\), got shape \(32,\)"),
        (BAD, np.where(BAD > 1.4, np.nan, BAD), {}, "sample must be finite, >= 0"),
        (BAD - 1, BAD, {}, "reference must be finite, >= 0"),
        (BAD * 0, BAD, {}, "reference must be finite, >= 0 and not all 0"),
        (BAD, np.ones((32, 32)), {}, "sample must show speckle, but exposure 0 is constant"),
        (
            np.stack([BAD, np.full_like(BAD, 2)]),
            np.stack([BAD, BAD]),
            {},
            "reference .* exposure 1 is constant",
        ),
        (BAD, BAD, {"window": 33}, "window must not exceed the frame of 32 × 32 pixels, got 33"),
        (BAD, BAD, {"window": 8}, "window must be an odd number >= ., got 8"),
        (BAD, BAD, {"max_shift": 0}, "max_shift must be >= 1 and less than half .*, got 0"),
        (BAD, BAD, {"max_shift": 16}, "max_shift must be >= 1 and less than half .*, got 16"),
        (BAD.astype(str), BAD.astype(str), {}, "reference must hold numbers"),
    ],
)
def test_bad_input_is_refused(track, reference, sample, options, message):
    with pytest.raises(ValueError, match=message):
        track(reference, sample, **options)
