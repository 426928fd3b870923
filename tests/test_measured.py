"""Measured references: cleaned, given back as they are, moved as band-limited images are, blurred once."""

import dataclasses
import math

import h5py
import numpy as np
import pytest
import tifffile
from scipy import ndimage
from scipy.signal import correlate

from specksim import Setup, detector, generate
from specksim.dataset import open_dataset
from specksim.dataset.checks import find_problems
from specksim.dataset.summary import summarise
from specksim.measured import MeasuredReference, clean, measured_field, sharpen
from specksim.optics import rays
from specksim.sandpaper import SpeckleField, cut, draw_places

SETUP = Setup().with_values(
    detector__rows=40,
    detector__columns=48,
    numerics__pairs_per_field=3,
    detector__psf_sigma_px=0.7,
    beam__source_to_sample_m=50.0,
    beam__source_fwhm_um=20.0,
)


@pytest.fixture(scope="module")
def speckle(small_setup, small_field) -> np.ndarray:
    """A reference as a detector records it, 128 × 128 counts, blurred by 0.8 px."""
    padded = np.pad(small_field.intensity, 64, mode="wrap")
    blur = detector.blur_taps(0.8, 4, deposited=False)
    expected = detector.expected_image(padded, blur, 4, (128, 128))
    return np.random.default_rng(3).poisson(1500 * expected).astype(np.float32)


@pytest.fixture
def tiff(speckle, tmp_path):
    path = tmp_path / "reference.tif"
    tifffile.imwrite(path, speckle.astype(np.uint16))
    return path


def smooth(rows: int, columns: int, frequencies) -> np.ndarray:
    """1 + cosines that go on beyond the edges as their mirror image, sampled `rows` × `columns` times."""
    y, x = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
    image = np.ones((rows, columns))
    for k, m, amplitude in frequencies:
        image += amplitude * np.cos(np.pi * k * y)[:, None] * np.cos(np.pi * m * x)[None, :]
    return image


def recorded(field: np.ndarray, shape, dx=0.0, dy=0.0, oversampling=4) -> np.ndarray:
    """Deposit a field, displaced by (dx, dy) pixels, and bin it, with no other blur."""
    wide = np.pad(field, 8 * oversampling, mode="symmetric")
    moved = (np.full_like(wide, shift * oversampling) for shift in (dx, dy))
    taps = detector.blur_taps(0.0, oversampling, deposited=True)
    return detector.expected_image(rays.deposit(wide, *moved), taps, oversampling, shape)


# ---- upsampling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("oversampling", [2, 3, 4, 7])
def test_a_field_at_rest_gives_the_image_back(oversampling, speckle):
    image = speckle[:90] / speckle.mean()
    field = sharpen(image, oversampling)
    assert field.shape == (90 * oversampling, 128 * oversampling)
    assert field.dtype == np.float32
    np.testing.assert_allclose(recorded(field, image.shape, oversampling=oversampling), image, atol=2e-5)


@pytest.mark.parametrize(("dx", "dy"), [(0.5, 0.0), (0.0, -0.3), (0.25, 1.6)])
def test_a_displaced_field_gives_the_displaced_image(dx, dy):
    """Cosines of up to 0.4 cycles a pixel, displaced by any part of a pixel, in closed form."""
    rows, columns = 60, 80
    frequencies = [(48, 0, 0.1), (0, 60, 0.1), (30, 40, 0.2), (7, 3, 0.3)]
    field = sharpen(smooth(rows, columns, frequencies).astype(np.float32), 4)
    expected = np.ones((rows, columns))
    for k, m, amplitude in frequencies:
        y = np.pi * k * (np.arange(rows) + 0.5 - dy) / rows
        x = np.pi * m * (np.arange(columns) + 0.5 - dx) / columns
        expected += amplitude * np.cos(y)[:, None] * np.cos(x)[None, :]
    inner = np.s_[4:-4, 4:-4]  # what comes in over an edge is the mirror image, displaced as the rest is
    np.testing.assert_allclose(recorded(field, (rows, columns), dx, dy)[inner], expected[inner], atol=2e-3)


def test_nothing_rings_at_the_edges():
    """A ramp is not periodic: a Fourier interpolation would ring by a tenth of its height at both ends."""
    ramp = np.broadcast_to(np.linspace(0.5, 1.5, 64, dtype=np.float32), (20, 64))
    field = sharpen(ramp, 4)[40]
    line = np.interp(np.arange(256), 4 * np.arange(64) + 1.5, ramp[0])
    assert np.abs(field - line).max() < 0.02
    assert np.abs(field - line)[40:-40].max() < 1e-4


def test_light_is_never_negative(speckle):
    spike = np.full((32, 32), 0.01, np.float32)
    spike[16, 16] = 50
    assert sharpen(spike, 4).min() == 0


# ---- cleaning ---------------------------------------------------------------------------------------


def test_dead_and_hot_pixels_are_replaced(speckle):
    chance = np.random.default_rng(5)
    damaged = speckle.copy()
    where = np.zeros(speckle.shape, bool)
    where.flat[chance.choice(speckle.size, 60, replace=False)] = True
    damaged[where] = np.where(chance.random(60) < 0.5, 0, 12 * speckle.mean())
    damaged[40] = 0  # a dead row
    where[40] = True
    cleaned = clean(damaged, "x")
    error = np.abs(cleaned - speckle) / speckle.mean()
    assert error[where].max() < 1.5
    assert math.sqrt(np.mean(error[where] ** 2)) < 0.3
    assert np.count_nonzero(error[~where]) < 1e-3 * speckle.size


def test_sound_pixels_are_left_alone(speckle):
    assert np.count_nonzero(clean(speckle, "x") != speckle) <= 2


def test_a_large_hole_is_filled(speckle):
    damaged = speckle.copy()
    damaged[50:60, 70:80] = 0
    assert clean(damaged, "x").min() > 0


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_an_image_of_dead_pixels_is_refused(share, speckle):
    damaged = speckle.copy()
    damaged[: round(share * 128)] = 0
    with pytest.raises(ValueError, match=r"dark.tif: must be a speckle image with at most 2 % dead"):
        clean(damaged, "dark.tif")


# ---- the field --------------------------------------------------------------------------------------


def test_dark_and_flat_are_taken_off(speckle, tmp_path):
    beam = np.linspace(0.5, 1.5, 128, dtype=np.float32)
    for name, image in (
        ("r", speckle * beam + 100),
        ("d", speckle * 0 + 100),
        ("f", 0 * speckle + 900 * beam + 100),
    ):
        np.save(tmp_path / f"{name}.npy", image.astype(np.float32))
    reference = MeasuredReference.create(*(tmp_path / f"{name}.npy" for name in "rdf"))
    corrected = reference.read()
    np.testing.assert_allclose(corrected / corrected.mean(), speckle / speckle.mean(), rtol=1e-3, atol=1e-4)


def test_the_mean_of_a_field_is_one_whatever_the_counts(tiff):
    reference = MeasuredReference.create(tiff)
    setup, sha256 = reference.admit(SETUP)
    field = measured_field(reference, sha256, 4)
    assert field.intensity.mean() == pytest.approx(1, abs=1e-5)
    assert not field.periodic
    assert setup.blur_px == 0
    assert setup == dataclasses.replace(
        SETUP,
        detector=dataclasses.replace(SETUP.detector, psf_sigma_px=0.0),
        beam=dataclasses.replace(SETUP.beam, source_fwhm_um=0.0),
    )


def test_a_changed_file_is_noticed(tiff, speckle):
    reference = MeasuredReference.create(tiff)
    _, sha256 = reference.admit(SETUP)
    tifffile.imwrite(tiff, speckle.astype(np.uint16) + 1)
    measured_field.cache_clear()
    with pytest.raises(ValueError, match=r"reference.tif: the reference has changed"):
        measured_field(reference, sha256, 4)


@pytest.mark.parametrize("value", ["rows", "columns"])
def test_a_reference_smaller_than_the_frame_is_refused(value, tiff):
    with pytest.raises(ValueError, match=r"reference.tif: .* hold the frame of .* got 128 × 128"):
        MeasuredReference.create(tiff).admit(SETUP.with_values(**{f"detector__{value}": 129}))


def test_a_cut_stays_within_its_edges(rng):
    field = SpeckleField(np.arange(30.0 * 20).reshape(30, 20), math.nan, periodic=False)
    for _ in range(50):
        (place,) = draw_places(field, (12, 9), 1, rng)
        piece = cut(field.intensity, place, (12, 9))
        steps = sorted({abs(piece[0, 1] - piece[0, 0]), abs(piece[1, 0] - piece[0, 0])})
        assert steps == [1, 20]
        for axis in (0, 1):
            assert len(np.unique(np.diff(piece, axis=axis))) == 1  # no jump from an edge to the other


def test_a_cut_that_is_too_large_is_completed_by_the_mirror_image(rng):
    field = SpeckleField(np.arange(400.0).reshape(20, 20), math.nan, periodic=False)
    (place,) = draw_places(field, (26, 26), 1, rng)
    piece = cut(field.intensity, place, (26, 26))
    assert piece.shape == (26, 26)
    assert set(piece[3:-3, 3:-3].flat) == set(range(400))
    np.testing.assert_array_equal(piece[2], piece[3])
    np.testing.assert_array_equal(piece[:, -3], piece[:, -4])


def test_a_long_frame_lies_along_a_long_field(rng):
    field = SpeckleField(np.arange(30.0 * 60).reshape(30, 60), math.nan, periodic=False)
    for _ in range(20):
        (place,) = draw_places(field, (25, 50), 1, rng)
        piece = cut(field.intensity, place, (25, 50))
        assert len(np.unique(piece)) == piece.size  # nothing mirrored


def test_more_steps_than_places_are_refused(rng):
    field = SpeckleField(np.ones((20, 20)), math.nan, periodic=False)
    assert len(draw_places(field, (18, 19), 6, rng)) == 6
    with pytest.raises(ValueError, match=r"steps must be <= 6, got 7"):
        draw_places(field, (18, 19), 7, rng)


# ---- data sets --------------------------------------------------------------------------------------


def test_the_references_of_a_data_set_are_cuts_of_the_measured_one(speckle, tmp_path):
    """Without noise and on whole pixels, a reference of the data set is a piece of the image to the digit."""
    np.save(tmp_path / "r.npy", speckle)
    setup = SETUP.with_values(detector__photons_per_pixel=math.inf)
    generate(tmp_path / "x.h5", setup, n=8, geometries=["sphere"], reference=tmp_path / "r.npy")
    image = clean(speckle, "x")
    image /= image.mean()
    shifted = {  # by quarters of a pixel along each axis, as the cuts begin at any ray
        (i, j): recorded(sharpen(image, 4), image.shape, dx=-0.25 * j, dy=-0.25 * i)
        for i in range(4)
        for j in range(4)
    }
    still_pixels = 0
    with open_dataset(tmp_path / "x.h5", verify=True) as dataset:
        for row, pair in enumerate(dataset):
            assert min(_closest(pair.reference[0], candidate) for candidate in shifted.values()) < 0.02
            assert list(find_problems(dataset, row)) == []
            still = (pair.dx == 0) & (pair.dy == 0) & (pair.transmission == 1)
            still = ndimage.minimum_filter(still, 9, mode="constant")
            still_pixels += np.count_nonzero(still)
            np.testing.assert_allclose(pair.sample[0][still], pair.reference[0][still], atol=1e-5)
    assert still_pixels > 500


def _closest(piece: np.ndarray, image: np.ndarray) -> float:
    """Smallest RMS difference of a piece, turned in any way, from a place of the image; over its contrast."""
    best = math.inf
    for turned in (piece, piece.T):
        for way in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]):
            cross = correlate(image, way, mode="valid", method="fft")
            power = correlate(image**2, np.ones_like(way), mode="valid", method="fft")
            best = min(best, float((power - 2 * cross).min() + np.sum(way**2)))
    return math.sqrt(max(best, 0) / piece.size) / float(piece.std())


def test_resume_refuses_another_reference(tiff, speckle, tmp_path):
    generate(tmp_path / "x.h5", SETUP, n=2, reference=tiff)
    np.save(tmp_path / "other.npy", speckle + 1)
    with pytest.raises(ValueError, match=r"reference: '[0-9a-f]{64}' there, '[0-9a-f]{64}' asked for"):
        generate(tmp_path / "x.h5", SETUP, n=4, reference=tmp_path / "other.npy", resume=True)
    np.save(tmp_path / "same.npy", speckle.astype(np.uint16))
    generate(tmp_path / "x.h5", SETUP, n=4, reference=tmp_path / "same.npy", resume=True)
    generate(tmp_path / "y.h5", SETUP, n=4, reference=tiff)
    with open_dataset(tmp_path / "x.h5") as grown, open_dataset(tmp_path / "y.h5") as whole:
        assert len(grown) == 4
        assert grown.provenance()["content_hash"] == whole.provenance()["content_hash"]
        assert grown.provenance()["materials"] == ["nylon"]  # nobody knows what the sandpaper is of
        assert summarise(grown)["sandpaper"] == f"measured, SHA-256 {grown.request.reference}"
        assert grown.request.reference == MeasuredReference.create(tiff).admit(SETUP)[1]


def test_a_reference_may_lie_in_an_hdf5_file(speckle, tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/one"], file["entry/two"] = speckle[None], np.stack([speckle, speckle])
    assert MeasuredReference.create(f"{tmp_path / 'scan.h5'}::/entry/one").read() == pytest.approx(speckle)
    with pytest.raises(ValueError, match="must hold one image, got 2"):  # of two places of the sandpaper?
        MeasuredReference.create(f"{tmp_path / 'scan.h5'}::/entry/two").read()


def test_dark_and_flat_alone_are_refused(tmp_path):
    with pytest.raises(ValueError, match="dark and flat go with a reference"):
        generate(tmp_path / "x.h5", SETUP, n=1, dark=tmp_path / "dark.tif")
