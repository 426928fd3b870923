"""Grains, their projection, and the statistics of the speckle they make."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim import detector, sandpaper, seeds
from specksim.convex import add_convex
from specksim.materials import refractive_index
from specksim.sandpaper import Grains, SpeckleField, crop_field, draw_grains, project_grains, simulate_field
from specksim.setups import Setup

SHEET = (1.2e-3, 1.0e-3)


@pytest.fixture(scope="module")
def grains() -> Grains:
    return draw_grains(Setup(), SHEET, np.random.default_rng(1))


@pytest.fixture(scope="module")
def default_field() -> SpeckleField:
    """The field of the default preset: 256 × 256 pixels, four sheets of 125 µm SiC, 2 m."""
    return simulate_field(Setup(), seeds.field_rng(0, "training", 0))


def brute_force(grains: Grains, shape: tuple[int, int]) -> np.ndarray:
    """Thickness of grains by evaluating every plane of every periodic image at every point."""
    (height, width), total = grains.size_m, np.zeros(shape)
    y = np.arange(shape[0])[:, None, None] * height / shape[0]
    x = np.arange(shape[1])[None, :, None] * width / shape[1]
    for planes, (yc, xc) in zip(grains.planes, grains.centre_m, strict=True):
        for image_y in (-height, 0.0, height):
            for image_x in (-width, 0.0, width):
                u, v = x - xc - image_x, y - yc - image_y
                upper, lower = (
                    (side[:, 0] + side[:, 1] * u + side[:, 2] * v).min(-1)
                    for side in (faces[np.isfinite(faces[:, 0])] for faces in planes)
                )
                total += np.maximum(upper + lower, 0.0)
    return total


def few(grains: Grains, number: int) -> Grains:
    return Grains(grains.planes[:number], grains.centre_m[:number], grains.area_m2[:number], grains.size_m)


def test_projection_agrees_with_every_plane_at_every_point(grains):
    # 12 grains, some of them over an edge of the sheet
    some = few(grains, 12)
    thickness = project_grains(some, (120, 100))
    assert thickness.dtype == np.float32
    assert np.allclose(thickness, brute_force(some, (120, 100)), atol=2e-10)
    assert thickness.max() > 50e-6


def test_python_projection_agrees_with_the_compiled_one(grains):
    out = np.zeros((2, 24, 20))
    pitch = SHEET[0] / 24
    sandpaper._project(out[0], grains.planes[:1], grains.centre_m[:1], pitch)
    sandpaper._project.py_func(out[1], grains.planes[:1], grains.centre_m[:1], pitch)
    assert out[0].max() > 0
    assert np.allclose(*out, atol=1e-12)


@given(rows=st.integers(-40, 40), columns=st.integers(-40, 40))
def test_sheet_is_periodic(grains, rows, columns):
    # moving all grains by whole samples rolls the map: a grain over one edge comes back at the other
    pitch = SHEET[0] / 120
    moved = (grains.centre_m + np.array([rows, columns]) * pitch) % SHEET
    rolled = project_grains(Grains(grains.planes, moved, grains.area_m2, SHEET), (120, 100))
    assert np.allclose(
        rolled, np.roll(project_grains(grains, (120, 100)), (rows, columns), (0, 1)), atol=1e-9
    )


def test_outline_of_a_unit_grain_has_the_area_of_a_unit_circle():
    for planes in sandpaper._unit_grains(12, np.random.default_rng(3)):
        raster = np.zeros((500, 500))
        add_convex(raster, planes, 0.0, 0.0, -1.0, -1.0, 0.004, 1.0, False)
        assert (raster > 0).sum() * 0.004**2 == pytest.approx(math.pi / 4, rel=5e-3)
        assert sandpaper._outline_area.py_func(planes, 4.0, 48) == pytest.approx(math.pi / 4, rel=1e-5)
        # closed on all sides, and about as thick as it is wide
        assert (raster[[0, -1]] == 0).all()
        assert (raster[:, [0, -1]] == 0).all()
        assert 0.4 < raster.max() < 1.8


@pytest.mark.parametrize("coverage", [0.5, 0.7, 0.95])
def test_coverage_is_the_area_of_the_grains(coverage):
    setup = Setup().with_values(diffuser__coverage=coverage)
    size = (5e-3, 4e-3)
    grains = draw_grains(setup, size, np.random.default_rng(2))
    assert grains.area_m2.sum() / (4 * size[0] * size[1]) == pytest.approx(coverage, rel=0.04)
    assert ((grains.centre_m >= 0) & (grains.centre_m < size)).all()


def test_diameters_are_lognormal_about_the_grain_size():
    grains = draw_grains(Setup(), (6e-3, 6e-3), np.random.default_rng(4))
    diameter = np.log(np.sqrt(4 / math.pi * grains.area_m2) / 125e-6)
    assert np.median(diameter) == pytest.approx(0.0, abs=0.02)
    assert diameter.std() == pytest.approx(0.2, rel=0.05)


def test_diverging_beam_widens_grains_but_does_not_thicken_them():
    # half-way between source and sample: a shadow twice as wide, of grains as thick as they are
    cone = Setup().with_values(beam__source_to_sample_m=2.0, diffuser__diffuser_to_sample_m=1.0)
    here = draw_grains(Setup(), SHEET, np.random.default_rng(5))
    shadow = draw_grains(cone, (2 * SHEET[0], 2 * SHEET[1]), np.random.default_rng(5))
    assert np.allclose(shadow.area_m2, 4 * here.area_m2)
    assert np.allclose(project_grains(shadow, (120, 100)), project_grains(here, (120, 100)), atol=1e-9)


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
        speckles, offsets = crop_field(field, (12, 12), 4, np.random.default_rng(seed))
        assert offsets.shape == (4, 2)
        assert (offsets[0] == 0).all()
        moved += np.any(offsets[1:] != 0)
        for speckle, offset in zip(speckles, offsets, strict=True):
            # what is at x in the first is at x + offset in the others
            assert np.array_equal(speckle, np.roll(speckles[0], offset, axis=(0, 1)))
    assert moved == 20


def test_crops_are_turned_and_mirrored_in_all_eight_ways(rng):
    field = SpeckleField(rng.random((3, 3)).astype(np.float32), 1.0)
    cuts = {crop_field(field, (3, 3), 1, np.random.default_rng(seed))[0][0].tobytes() for seed in range(2000)}
    assert len(cuts) == 8 * 9


def test_crop_of_a_field_that_is_not_square(rng):
    field = SpeckleField(rng.random((10, 30)).astype(np.float32), 1.0)
    for seed in range(10):
        speckles, _ = crop_field(field, (16, 20), 2, np.random.default_rng(seed))
        assert [speckle.shape for speckle in speckles] == [(16, 20)] * 2
        assert all(speckle.flags.c_contiguous and speckle.dtype == np.float32 for speckle in speckles)
        assert np.isin(speckles[0], field.intensity).all()


def test_cut_larger_than_the_field_repeats_it(rng):
    field = SpeckleField(rng.random((8, 8)).astype(np.float32), 1.0)
    for seed in range(10):
        (speckle,), _ = crop_field(field, (20, 19), 1, np.random.default_rng(seed))
        assert np.array_equal(speckle[8:], speckle[:-8])
        assert np.array_equal(speckle[:, 8:], speckle[:, :-8])
        assert sorted(speckle[:8, :8].ravel()) == sorted(field.intensity.ravel())


@pytest.mark.parametrize(("frame_px", "grain_um"), [(16, 125.0), (24, 250.0), (64, 125.0)])
def test_coverage_holds_on_small_fields(frame_px, grain_um, rng):
    setup = Setup().with_values(
        detector__rows=frame_px, detector__columns=frame_px, diffuser__grain_size_um=grain_um
    )
    shape = sandpaper.field_shape(setup)
    size = (shape[0] * setup.ray_pitch_m, shape[1] * setup.ray_pitch_m)
    assert min(size) >= 10 * grain_um * 1e-6
    numbers = [len(sandpaper.draw_grains(setup, size, rng).area_m2) / 4 for _ in range(3)]
    mean_area = math.pi / 4 * (grain_um * 1e-6) ** 2 * math.exp(2 * 0.2**2)
    assert numbers[0] * mean_area / (size[0] * size[1]) == pytest.approx(0.7, rel=0.02)


def test_the_outline_of_each_grain_has_the_area_of_its_diameter(rng):
    # rasterised one by one: area_m2 comes from the diameters that were drawn, not from the planes
    setup = Setup().with_values(diffuser__sheets=1, diffuser__coverage=0.05)
    grains = sandpaper.draw_grains(setup, (2e-3, 2e-3), rng)
    pitch = 2e-3 / 2000
    measured = []
    for k in range(len(grains.area_m2)):
        one = dataclasses.replace(
            grains, planes=grains.planes[k : k + 1], centre_m=grains.centre_m[k : k + 1]
        )
        measured.append(np.count_nonzero(sandpaper.project_grains(one, (2000, 2000))) * pitch**2)
    assert len(measured) > 10
    assert measured == pytest.approx(grains.area_m2, rel=0.01)


def test_a_wave_grid_of_one_sample_per_ray_is_refused(rng):
    setup = Setup().with_values(detector__rows=64, detector__columns=64, numerics__wave_pitch_um=2.5)
    with pytest.raises(ValueError, match=r"[345]\.\d\d % of neighbouring samples differ by more than π"):
        sandpaper.simulate_field(setup, rng)
