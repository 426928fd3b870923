"""Speckle fields: their statistics, their sampling, and the cuts of each pair."""

import numpy as np
import pytest

from specksim import detector, sandpaper, seeds
from specksim.grains import draw_grains, project_grains
from specksim.materials import refractive_index
from specksim.sandpaper import SpeckleField, cut, draw_places, simulate_field
from specksim.setups import Setup


def crop(field, shape, steps, rng):
    """The cuts of a pair, and how far each place lies from the first."""
    places = draw_places(field, shape, steps, rng)
    offsets = np.array([np.subtract(places[0].corner, place.corner) for place in places])
    return [cut(field.intensity, place, shape) for place in places], offsets


@pytest.fixture(scope="module")
def default_field() -> SpeckleField:
    """The field of the default preset: 256 × 256 pixels, four sheets of 125 µm SiC, 2 m."""
    return simulate_field(Setup(), seeds.field_rng(0, "training", 0))


def test_mean_intensity_is_what_the_grains_let_through(small_setup, small_field):
    shape = sandpaper.field_shape(small_setup)
    size = (shape[0] * small_setup.ray_pitch_m, shape[1] * small_setup.ray_pitch_m)
    grains = draw_grains(small_setup, size, seeds.field_rng(0, "training", 0))
    factor = small_setup.waves_per_ray
    thickness = project_grains(grains, (shape[0] * factor, shape[1] * factor))
    _, beta = refractive_index("SiC", 28.0)
    through = np.exp(-2 * small_setup.wavenumber_per_m * beta * thickness.astype(float)).mean()
    assert small_field.transmission == pytest.approx(through, rel=1e-5)
    assert 0.85 < through < 0.98
    assert small_field.intensity.shape == shape
    assert small_field.intensity.mean(dtype=float) == pytest.approx(1.0, rel=1e-6)
    assert small_field.intensity.min() >= 0


def test_only_the_distance_to_the_detector_counts_in_a_parallel_beam(small_setup, small_field):
    # the sample is not in the way of its own reference
    upstream = small_setup.with_values(
        diffuser__diffuser_to_sample_m=1.25, propagation__sample_to_detector_m=0.75
    )
    field = simulate_field(upstream, seeds.field_rng(0, "training", 0))
    assert np.allclose(field.intensity, small_field.intensity, rtol=1e-4, atol=1e-5)


def test_cone_beam_speckle_does_not_care_where_the_sample_stands(small_setup):
    # source to mask 1 m, mask to detector 3 m: one image on the detector, by different object planes
    values = {"numerics__wave_pitch_um": 1.25, "detector__pixel_size_um": 9.6}
    at_mask = small_setup.with_values(
        beam__source_to_sample_m=1.0, propagation__sample_to_detector_m=3.0, **values
    )
    behind = small_setup.with_values(
        beam__source_to_sample_m=2.0,
        diffuser__diffuser_to_sample_m=1.0,
        propagation__sample_to_detector_m=2.0,
        **values,
    )
    assert (at_mask.magnification, behind.magnification) == (4.0, 2.0)
    fields = [simulate_field(setup, seeds.field_rng(0, "training", 0)) for setup in (at_mask, behind)]
    assert fields[0].intensity.std() > 0.1
    assert np.allclose(fields[0].intensity, fields[1].intensity, atol=2e-3)


def test_speckle_of_the_default_preset_before_blur(default_field):
    image = default_field.intensity
    pixels = image.reshape(image.shape[0] // 4, 4, image.shape[1] // 4, 4).mean((1, 3))
    assert 0.55 < pixels.std() / pixels.mean() < 0.70


def test_speckle_of_the_default_preset_on_the_detector(default_field):
    image = detector.expected_image(
        default_field.intensity, detector.blur_taps(0.5, 4, deposited=False), 4, (500, 500)
    )
    contrast = image / image.mean() - 1
    assert 0.15 < contrast.std() < 0.5
    power = np.abs(np.fft.fft2(contrast)) ** 2
    correlation = np.fft.ifft2(power).real
    for profile in (correlation[0, :20], correlation[:20, 0]):
        half = np.interp(0.5, (profile / profile[0])[::-1], np.arange(20)[::-1])
        assert 2 < 2 * half < 6


def test_halving_the_pitch_leaves_the_visibility(small_setup):
    setup = small_setup.with_values(detector__rows=96, detector__columns=96)
    visibility = []
    for pitch_um in (1.25, 0.62):
        field = simulate_field(
            setup.with_values(numerics__wave_pitch_um=pitch_um), seeds.field_rng(0, "training", 0)
        )
        visibility.append(field.intensity.reshape(192, 4, 192, 4).mean((1, 3)).std())
    assert visibility[1] == pytest.approx(visibility[0], rel=0.03)


def test_weaker_sandpaper_has_less_contrast(small_setup, small_field):
    one = simulate_field(small_setup.with_values(diffuser__sheets=1), seeds.field_rng(0, "training", 0))
    assert one.intensity.std() < 0.9 * small_field.intensity.std()


def test_splits_and_shards_have_speckle_of_their_own(small_setup, small_field):
    others = [("validation", 0), ("evaluation", 0), ("training", 1)]
    for split, shard in others:
        other = simulate_field(small_setup, seeds.field_rng(0, split, shard)).intensity
        assert abs(np.corrcoef(small_field.intensity.ravel(), other.ravel())[0, 1]) < 0.1
    again = simulate_field(small_setup, seeds.field_rng(0, "training", 0))
    assert np.array_equal(again.intensity, small_field.intensity)
    assert again.transmission == small_field.transmission


@pytest.mark.parametrize(
    "values",
    [
        {"numerics__wave_pitch_um": 5.0, "numerics__oversampling": 2},
        {"diffuser__sheets": 40},
        {"beam__energy_kev": 10.0},
    ],
    ids=["coarse pitch", "many sheets", "low energy"],
)
def test_phase_too_steep_for_the_grid_is_refused(small_setup, values):
    setup = small_setup.with_values(detector__rows=32, detector__columns=32).with_values(**values)
    with pytest.raises(ValueError, match=r"too steep for the wave grid: .*: lower numerics.wave_pitch_um"):
        simulate_field(setup, seeds.field_rng(0, "training", 0))


def test_steep_share_counts_neighbours_along_both_axes():
    thickness = np.zeros((3, 5), np.float32)
    thickness[:, 2:] = 2.0  # one step along x in each of the two rows that have a neighbour below
    thickness[1:, 0] = 2.0
    for kernel in (sandpaper._steep_share, sandpaper._steep_share.py_func):
        # row 0: x-step between columns 1 and 2, y-step in column 0; row 1: x-steps 0-1 and 1-2
        assert kernel(thickness, 1.0) == pytest.approx(4 / 16)
        assert kernel(thickness, 3.0) == 0


@pytest.mark.parametrize(("pixels", "at_least"), [(64, 128), (256, 512), (2000, 2500)])
def test_field_is_larger_than_the_frame_and_bounded(pixels, at_least):
    rows, columns = sandpaper.field_shape(Setup().with_values(detector__rows=pixels, detector__columns=64))
    assert rows % 4 == columns % 4 == 0
    assert at_least * 4 <= rows <= 1.1 * at_least * 4


def test_crop_offsets_say_where_the_sandpaper_went(rng):
    # the whole field is cut, so that what leaves at one edge comes back: offsets are rolls
    field = SpeckleField(rng.random((12, 12)).astype(np.float32), 1.0)
    moved = 0
    for seed in range(20):
        speckles, offsets = crop(field, (12, 12), 4, np.random.default_rng(seed))
        assert offsets.shape == (4, 2)
        assert (offsets[0] == 0).all()
        moved += np.any(offsets[1:] != 0)
        for speckle, offset in zip(speckles, offsets, strict=True):
            # what is at x in the first is at x + offset in the others
            assert np.array_equal(speckle, np.roll(speckles[0], offset, axis=(0, 1)))
    assert moved == 20


def test_crops_are_turned_and_mirrored_in_all_eight_ways(rng):
    field = SpeckleField(rng.random((3, 3)).astype(np.float32), 1.0)
    cuts = {crop(field, (3, 3), 1, np.random.default_rng(seed))[0][0].tobytes() for seed in range(2000)}
    assert len(cuts) == 8 * 9


def test_crop_of_a_field_that_is_not_square(rng):
    field = SpeckleField(rng.random((10, 30)).astype(np.float32), 1.0)
    for seed in range(10):
        speckles, _ = crop(field, (16, 20), 2, np.random.default_rng(seed))
        assert [speckle.shape for speckle in speckles] == [(16, 20)] * 2
        assert all(speckle.flags.c_contiguous and speckle.dtype == np.float32 for speckle in speckles)
        assert np.isin(speckles[0], field.intensity).all()


def test_cut_larger_than_the_field_repeats_it(rng):
    field = SpeckleField(rng.random((8, 8)).astype(np.float32), 1.0)
    for seed in range(10):
        (speckle,), _ = crop(field, (20, 19), 1, np.random.default_rng(seed))
        assert np.array_equal(speckle[8:], speckle[:-8])
        assert np.array_equal(speckle[:, 8:], speckle[:, :-8])
        assert sorted(speckle[:8, :8].ravel()) == sorted(field.intensity.ravel())


def test_a_wave_grid_of_one_sample_per_ray_is_refused(rng):
    setup = Setup().with_values(detector__rows=64, detector__columns=64, numerics__wave_pitch_um=2.5)
    with pytest.raises(ValueError, match=r"[345]\.\d\d % of neighbouring samples differ by more than π"):
        sandpaper.simulate_field(setup, rng)


@pytest.mark.parametrize(
    ("material", "density", "grain_um", "sheets"), [("Cu", 8.96, 50.0, 1), ("SiO2", 2.65, 200.0, 4)]
)
def test_powder_and_sand_make_speckle_too(small_setup, material, density, grain_um, sheets):
    setup = small_setup.with_values(
        diffuser__material=material,
        diffuser__density_g_cm3=density,
        diffuser__grain_size_um=grain_um,
        diffuser__sheets=sheets,
    )
    field = simulate_field(setup, seeds.field_rng(0, "training", 0))
    image = detector.record(setup, field.intensity, np.random.default_rng(0))
    assert 0.2 < image.std() / image.mean() < 0.7
    assert field.transmission == pytest.approx(setup.diffuser.transmission(28.0), rel=0.05)


def test_binder_weakens_the_speckle(small_setup, small_field):
    sunk = simulate_field(
        small_setup.with_values(diffuser__binder_fill=0.8), seeds.field_rng(0, "training", 0)
    )
    assert 0.7 < sunk.intensity.std() / small_field.intensity.std() < 0.97
    papered = small_setup.with_values(diffuser__backing_um=300.0)
    same = simulate_field(papered, seeds.field_rng(0, "training", 0))
    assert np.array_equal(same.intensity, small_field.intensity)
