"""The forward model as a whole: where light goes, how much of it, and what the labels say."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import ndimage

from specksim import Setup, detector, phantoms, seeds, tracing, validity
from specksim.forward import simulate, simulate_pair
from specksim.materials import refractive_index
from specksim.optics import refraction
from specksim.sandpaper import SpeckleField, cut, draw_places, simulate_field
from specksim.tracing import refract, trace_object
from specksim.validity import valid_pixels
from tests.conftest import shift_between

EMPTY = {"geometry": "sphere", "material": "nylon", "bodies": []}
BALL = {
    "geometry": "sphere",
    "material": "nylon",
    "bodies": [{"shape": "sphere", "x_um": 21.0, "y_um": -33.0, "radius_um": 150.0}],
}
ARRAYS = ("reference", "sample", "dx", "dy", "phase", "transmission", "valid", "step_offset_px")


def run(setup, scene, field, seed=1, **options):
    crop, noise = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    return simulate_pair(setup, scene, field, crop, noise, **options)


def test_no_object_leaves_everything_as_it_is(small_setup, small_field):
    pair = run(small_setup, EMPTY, small_field, index=7)
    assert (pair.dx == 0).all()
    assert (pair.dy == 0).all()
    assert (pair.phase == 0).all()
    assert np.allclose(pair.transmission, 1.0, rtol=1e-6)
    assert (pair.valid == 1).all()
    assert np.allclose(pair.sample, pair.reference, rtol=3e-6)
    assert pair.reference.std() > 0.1
    assert (pair.index, pair.scene) == (7, EMPTY)


def test_shapes_and_types(small_setup, small_field):
    setup = small_setup.with_values(detector__columns=48, detector__photons_per_pixel=500.0)
    pair = run(setup, BALL, small_field, steps=3)
    assert pair.reference.shape == pair.sample.shape == (3, 64, 48)
    assert pair.reference.dtype == pair.sample.dtype == np.uint16
    for name in ("dx", "dy", "phase", "transmission"):
        assert getattr(pair, name).shape == (64, 48)
        assert getattr(pair, name).dtype == np.float32
    assert pair.valid.dtype == np.uint8
    assert pair.step_offset_px.shape == (3, 2)
    assert pair.reference.mean() == pytest.approx(500.0, rel=0.15)


@pytest.mark.parametrize("slopes", [(9.0, 0.0), (0.0, 9.0), (-4.0, 0.0), (6.0, -11.0), (-25.0, 8.0)])
def test_wedge_shifts_the_image_by_the_label_on_each_axis(
    small_setup, small_field, wedge, monkeypatch, slopes
):
    # the sign of all: what is at x in the reference is at x + d in the sample, d = -zδ ∇T
    delta, _ = refractive_index("nylon", 28.0)
    # without absorption, as that weighs the light within the blur; the blur lets pixels be interpolated
    monkeypatch.setattr(tracing, "refractive_index", lambda *_: (delta, 1e-20))
    setup = small_setup.with_values(detector__psf_sigma_px=1.0)
    pair = run(setup, wedge(*slopes, middle_m=20e-3), small_field)
    dx, dy = (-2.0 * delta * slope / 9.9e-6 for slope in slopes)
    assert np.allclose(pair.dx, dx, atol=1e-4)
    assert np.allclose(pair.dy, dy, atol=1e-4)
    assert (pair.valid == 1).all()
    found_x, found_y, brightness = shift_between(pair.reference[0], pair.sample[0], (0.9 * dx, 0.9 * dy))
    assert (found_x, found_y) == pytest.approx((dx, dy), abs=2e-3)
    assert brightness == pytest.approx(1.0, abs=1e-3)


def test_slab_attenuates_and_delays_without_moving(small_setup, small_field, wedge):
    pair = run(small_setup, wedge(0.0, 0.0), small_field)
    delta, beta = refractive_index("nylon", 28.0)
    k = small_setup.wavenumber_per_m
    t = math.exp(-2 * k * beta * 10e-3)
    assert t == pytest.approx(0.70, abs=0.01)
    assert np.allclose(pair.transmission, t, rtol=1e-5)
    assert np.allclose(pair.phase, -k * delta * 10e-3, rtol=1e-5)
    assert np.allclose(pair.sample, t * pair.reference, rtol=1e-5)


def test_light_is_conserved_behind_an_object_in_the_frame(small_setup, small_field):
    pair = run(small_setup, BALL, small_field)
    assert pair.transmission.min() < 0.992
    carried = (pair.transmission * pair.reference[0]).sum(dtype=float)
    # a tenth of what the object absorbs
    assert pair.sample.sum(dtype=float) == pytest.approx(carried, rel=1e-4)


def test_light_is_thinned_out_behind_the_middle_of_a_ball(small_setup, small_field):
    # a ball diverges (δ > 0): darker in its middle by 1/(1 + z δ 2/R)²; a flat field shows it
    flat = SpeckleField(np.ones_like(small_field.intensity), 1.0)
    pair = run(small_setup, BALL, flat)
    delta, _ = refractive_index("nylon", 28.0)
    row, column = round(31.5 - 33 / 9.9), round(31.5 + 21 / 9.9)
    # T = 2√(R² - r²): ∇T = -2r/R in the middle, d = +zδ 2r/R
    expected = pair.transmission[row, column] / (1 + 2.0 * delta * 2 / 150e-6) ** 2
    assert pair.sample[0, row, column] == pytest.approx(expected, rel=1e-3)
    assert pair.dx[row, column + 3] > 0 > pair.dx[row, column - 3]
    assert pair.dy[row + 3, column] > 0 > pair.dy[row - 3, column]


def test_phase_and_transmission_are_those_of_a_sphere(small_setup, small_field):
    pair = run(small_setup, BALL, small_field)
    delta, beta = refractive_index("nylon", 28.0)
    k = small_setup.wavenumber_per_m
    axis = (np.arange(64) - 31.5) * 9.9e-6
    distance = np.hypot(axis[None, :] - 21e-6, axis[:, None] + 33e-6)
    chord = 2 * np.sqrt(np.maximum((150e-6) ** 2 - distance**2, 0))
    inside = distance < 120e-6
    assert np.allclose(pair.phase[inside], -k * delta * chord[inside], rtol=4e-3)
    assert np.allclose(pair.transmission[inside], np.exp(-2 * k * beta * chord[inside]), atol=3e-5)
    outside = distance > 165e-6
    assert (pair.phase[outside] == 0).all()
    # displacement is the gradient of the phase: d = (z/k) ∇φ
    dx = 2.0 / k * np.gradient(pair.phase.astype(float), 9.9e-6, axis=1) / 9.9e-6
    middle = distance < 90e-6
    assert np.allclose(pair.dx[middle], dx[middle], atol=2e-3)
    assert np.abs(dx[middle]).max() > 0.08


def test_two_materials_add_their_optical_paths(small_setup):
    grain = {"shape": "sphere", "x_um": 0.0, "y_um": 0.0, "radius_um": 40.0, "inclusion": True}
    scene = {**BALL, "bodies": [*BALL["bodies"], {**grain, "material": "al2o3"}]}
    maps = phantoms.thickness(scene, small_setup.ray_nodes(2))
    (line,) = refract(small_setup, maps)
    bent, lost = (
        sum(refractive_index(name, 28.0)[position] * thickness for name, thickness in maps.items())
        for position in (0, 1)
    )
    d = refraction.displacement(bent, small_setup.effective_distance_m, small_setup.ray_pitch_m)
    assert np.allclose((line.dx, line.dy), d, atol=1e-5)
    assert np.abs(d).max() > 1
    through = refraction.transmitted_intensity(lost, small_setup.wavenumber_per_m)
    assert np.allclose(line.transmission, through, rtol=1e-6)
    assert len(maps) == 2


def test_truth_does_not_depend_on_the_noise_or_the_speckle(small_setup, small_field):
    noisy = small_setup.with_values(detector__photons_per_pixel=20.0)
    clean, other = run(small_setup, BALL, small_field), run(noisy, BALL, small_field, seed=5, steps=2)
    assert not np.allclose(clean.reference[0], other.reference[0] / 20)
    for name in ("dx", "dy", "phase", "transmission", "valid"):
        assert np.array_equal(getattr(clean, name), getattr(other, name))


def test_noise_is_poisson_about_the_expected_images(small_setup, small_field):
    noisy = run(small_setup.with_values(detector__photons_per_pixel=1000.0), BALL, small_field)
    clean = run(small_setup, BALL, small_field)
    for name in ("reference", "sample"):
        expected = 1000.0 * getattr(clean, name)
        standard = (getattr(noisy, name) - expected) / np.sqrt(expected)
        assert standard.mean() == pytest.approx(0.0, abs=4 / 64)
        assert standard.var() == pytest.approx(1.0, abs=4 * math.sqrt(2) / 64)
    noise = [getattr(noisy, name) - 1000.0 * getattr(clean, name) for name in ("reference", "sample")]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 4 / 64


def test_pair_depends_on_seed_split_and_index_only(small_setup):
    setup = small_setup.with_values(detector__photons_per_pixel=800.0, numerics__pairs_per_field=2)
    first = simulate(setup, seed=3, index=1)
    again = simulate(setup, seed=3, index=1)
    assert again.scene == first.scene
    for name in ARRAYS:
        assert np.array_equal(getattr(first, name), getattr(again, name))
    # index 0 shares the sandpaper, index 2 has another one
    for key in ({"index": 0}, {"index": 2}, {"seed": 4}, {"split": "validation"}):
        other = simulate(setup, **{"seed": 3, "index": 1, **key})
        assert other.scene != first.scene
        assert not np.array_equal(other.reference, first.reference)
        assert np.abs(np.corrcoef(other.reference.ravel(), first.reference.ravel())[0, 1]) < 0.2


def test_simulate_is_its_parts(small_setup):
    setup = small_setup.with_values(numerics__pairs_per_field=2)
    pair = simulate(setup, material="pmma", geometry="fiber", seed=9, index=5, split="evaluation")
    field = simulate_field(setup, seeds.field_rng(9, "evaluation", 2))
    scene_rng, crop_rng, noise_rng = seeds.pair_rngs(9, "evaluation", 5)
    scene = phantoms.draw_scene("fiber", "pmma", setup, scene_rng)
    parts = simulate_pair(setup, scene, field, crop_rng, noise_rng, index=5)
    assert (pair.scene, pair.index) == (scene, 5)
    for name in ARRAYS:
        assert np.array_equal(getattr(pair, name), getattr(parts, name))


def test_pair_can_be_simulated_again_from_its_scene(small_setup, small_field):
    scene = phantoms.draw_scene("spheres-in-block", "al2o3", small_setup, np.random.default_rng(2))
    pair = run(small_setup, scene, small_field)
    again = run(small_setup, pair.scene, small_field)
    for name in ARRAYS:
        assert np.array_equal(getattr(pair, name), getattr(again, name))


def test_steps_move_the_sandpaper_and_not_the_object(small_setup, small_field):
    # offsets are whole rays here, and a field of whole pixels lets one compare pixels directly
    for seed in range(40):
        pair = run(small_setup, EMPTY, small_field, seed=seed, steps=4)
        rows, columns = (
            (pair.step_offset_px[1:] % 1 == 0).all(axis=1),
            np.abs(pair.step_offset_px[1:]).max(axis=1),
        )
        usable = 1 + np.flatnonzero(rows & (columns < 40))
        if len(usable):
            break
    assert (pair.step_offset_px[0] == 0).all()
    step = usable[0]
    down, right = pair.step_offset_px[step].astype(int)
    first, moved = pair.reference[0], pair.reference[step]
    # what is at x in the first is at x + offset in the others
    kept = first[max(0, -down) : 64 - max(0, down), max(0, -right) : 64 - max(0, right)]
    there = moved[max(0, down) : 64 + min(0, down), max(0, right) : 64 + min(0, right)]
    assert kept.size > 100
    assert np.allclose(kept, there, rtol=1e-5)


def test_steps_are_independent_pairs_of_one_label(small_setup, small_field):
    pair = run(small_setup, BALL, small_field, steps=6)
    assert pair.dx.shape == (64, 64)
    assert len({tuple(offset) for offset in pair.step_offset_px}) == 6
    contrast = (pair.reference - pair.reference.mean(axis=(1, 2), keepdims=True)).reshape(6, -1)
    assert np.abs(np.corrcoef(contrast) - np.eye(6)).max() < 0.15
    for reference, sample in zip(pair.reference, pair.sample, strict=True):
        # each sample belongs to its own reference: unmoved outside of the ball
        outside = (pair.transmission == 1) & (pair.valid == 1)
        assert np.allclose(sample[outside], reference[outside], atol=0.05 * reference.std())


def test_first_step_is_the_pair_of_a_single_step(small_setup, small_field):
    one, three = run(small_setup, BALL, small_field), run(small_setup, BALL, small_field, steps=3)
    assert np.array_equal(one.reference[0], three.reference[0])
    assert np.array_equal(one.sample[0], three.sample[0])
    assert not np.array_equal(three.reference[0], three.reference[1])


def valid_mask(setup, dx, dy, margin):
    """From the displacement on the ray grid, in its cells."""
    n = setup.numerics.oversampling
    blocks = np.stack([dx, dy]).reshape(2, dx.shape[0] // n, n, dx.shape[1] // n, n) / n
    ranges = np.stack([blocks.min((2, 4)), blocks.max((2, 4))], axis=1)
    return valid_pixels(setup, ranges, margin)


def mask_of_step(setup, height_px, axis):
    """`valid` where the label jumps by `height_px` half-way across the frame."""
    margin, n = 8, setup.numerics.oversampling
    jump = np.zeros((80 * n, 80 * n), np.float32)
    jump[:, 40 * n :] = height_px * n
    still = np.zeros_like(jump)
    d = (jump, still) if axis == 1 else (still, jump.T.copy())
    return valid_mask(setup, *d, margin)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("distance_m", "reach"), [(2.0, 3), (0.5, 3), (20.0, 9)])
def test_valid_reaches_as_far_as_documented(small_setup, axis, distance_m, reach):
    # steep are the pixels on either side of the step, as a neighbour holds the other value;
    # 3 · max(√(λz), p): √(λz)/p is 0.95 at 2 m and 3.006 at 20 m
    setup = small_setup.with_values(propagation__sample_to_detector_m=distance_m)
    valid = mask_of_step(setup, 0.31, axis)
    profile = valid.take(5, axis=1 - axis)
    assert np.array_equal(valid, np.broadcast_to(profile if axis == 1 else profile[:, None], (64, 64)))
    assert np.array_equal(np.flatnonzero(profile == 0), np.arange(31 - reach, 32 + reach + 1))


def test_label_that_varies_less_than_the_limit_is_valid(small_setup):
    assert (mask_of_step(small_setup, 0.29, 1) == 1).all()


def test_valid_is_zero_around_the_rim_of_a_sphere_on_both_sides(small_setup, small_field):
    pair = run(small_setup, BALL, small_field)
    axis = (np.arange(64) - 31.5) * 9.9
    from_rim = (np.hypot(axis[None, :] - 21.0, axis[:, None] + 33.0) - 150.0) / 9.9
    assert (pair.valid[np.abs(from_rim) < 2] == 0).all()
    assert (pair.valid[from_rim > 5.5] == 1).all()
    assert (pair.valid[from_rim < -8] == 1).all()
    assert pair.valid.mean() > 0.6


def truth(setup, scene):
    flat = SpeckleField(np.ones((64, 64), np.float32), 1.0)
    return run(setup, scene, flat)


def test_halving_both_distances_of_a_cone_beam_halves_the_labels(small_setup):
    # M stays, so that the object covers the same pixels; the shift is z2 δ|∇T|
    near = small_setup.with_values(beam__source_to_sample_m=1.0, propagation__sample_to_detector_m=1.0)
    far = small_setup.with_values(beam__source_to_sample_m=2.0, propagation__sample_to_detector_m=2.0)
    assert near.magnification == far.magnification == 2.0
    small_ball = {**BALL, "bodies": [{**BALL["bodies"][0], "radius_um": 75.0, "x_um": 10.0, "y_um": -16.0}]}
    one, two = truth(near, small_ball), truth(far, small_ball)
    assert np.abs(two.dx).max() > 0.5
    assert np.allclose(two.dx, 2 * one.dx, atol=1e-5)
    assert np.allclose(two.dy, 2 * one.dy, atol=1e-5)
    assert np.allclose(two.phase, one.phase)


def test_cone_beam_label_in_metres_is_z2_delta_times_the_slope(small_setup, wedge):
    cone = small_setup.with_values(beam__source_to_sample_m=0.5, propagation__sample_to_detector_m=1.5)
    delta, _ = refractive_index("nylon", 28.0)
    pair = truth(cone, wedge(6.0, -3.0))
    assert np.allclose(pair.dx * 9.9e-6, -1.5 * delta * 6.0, rtol=2e-4)
    assert np.allclose(pair.dy * 9.9e-6, 1.5 * delta * 3.0, rtol=2e-4)


def test_object_in_a_cone_beam_appears_magnified(small_setup):
    cone = small_setup.with_values(beam__source_to_sample_m=1.0, propagation__sample_to_detector_m=1.0)
    half = {"shape": "sphere", "x_um": 50.0, "y_um": -40.0, "radius_um": 50.0}
    full = {"shape": "sphere", "x_um": 100.0, "y_um": -80.0, "radius_um": 100.0}
    one, two = (
        truth(setup, {**BALL, "bodies": [body]}) for setup, body in ((cone, half), (small_setup, full))
    )
    assert np.allclose(2 * one.phase, two.phase, atol=1e-3)
    assert two.phase.min() < -8


def test_source_far_away_is_a_parallel_beam(small_setup, small_field):
    far = small_setup.with_values(beam__source_to_sample_m=1e8)
    one, two = run(far, BALL, small_field), run(small_setup, BALL, small_field)
    for name in ("dx", "dy", "phase", "transmission", "reference", "sample"):
        assert np.allclose(getattr(one, name), getattr(two, name), atol=1e-4)
    assert np.array_equal(one.valid, two.valid)


def test_source_blurs_the_image(small_setup, small_field):
    cone = small_setup.with_values(beam__source_to_sample_m=10.0)
    wide = cone.with_values(beam__source_fwhm_um=100.0)  # a penumbra of 20 µm
    sharp, blurred = run(cone, EMPTY, small_field), run(wide, EMPTY, small_field)
    expected = ndimage.gaussian_filter(sharp.reference[0].astype(float), 100 / 2.3548 * 0.2 / 9.9, truncate=5)
    inner = (slice(8, -8), slice(8, -8))
    assert np.allclose(blurred.reference[0][inner], expected[inner], atol=0.02)
    assert blurred.reference.std() < 0.9 * sharp.reference.std()


def test_source_blurs_speckle_from_upstream_more_than_the_object(small_setup):
    # penumbra on the detector: s (a + z2) / (z1 - a) of the sandpaper, s z2 / z1 of the object
    cone = small_setup.with_values(beam__source_to_sample_m=10.0, diffuser__diffuser_to_sample_m=2.0)
    wide = cone.with_values(beam__source_fwhm_um=50.0)
    sharp, blurred = (
        run(setup, EMPTY, simulate_field(setup, seeds.field_rng(0, "training", 0))) for setup in (cone, wide)
    )
    sigma = 50 / 2.3548 * 4 / 8 / 9.9
    assert wide.diffuser_blur_px == pytest.approx(sigma, rel=1e-4)
    expected = ndimage.gaussian_filter(sharp.reference[0].astype(float), sigma, truncate=5)
    inner = (slice(8, -8), slice(8, -8))
    assert np.allclose(blurred.reference[0][inner], expected[inner], atol=0.02)
    assert np.allclose(blurred.sample, blurred.reference, rtol=1e-5)


def test_margin_holds_all_light_that_may_reach_the_frame(small_setup, wedge):
    delta, _ = refractive_index("nylon", 28.0)
    setup = small_setup.with_values(propagation__sample_to_detector_m=20.0)
    _, margin_px = trace_object(setup, wedge(19.5 * 9.9e-6 / (20.0 * delta), 0.0, middle_m=30e-3))
    assert margin_px == 20 + 2 + 2  # the shift rounded up, four sigma of 0.5 px, and two pixels


def test_light_from_outside_of_the_frame_reaches_it(small_setup, small_field, wedge):
    # a shift by 12 pixels draws on speckle that lies that far outside; without it a border would be dark
    delta, _ = refractive_index("nylon", 28.0)
    setup = small_setup.with_values(propagation__sample_to_detector_m=20.0)
    pair = run(setup, wedge(-12.0 * 9.9e-6 / (20.0 * delta), 0.0), small_field)
    assert np.allclose(pair.dx, 12.0, atol=1e-2)
    relative = pair.sample[0, :, 12:] / pair.transmission[:, :-12]
    assert np.allclose(relative, pair.reference[0, :, :-12], rtol=0.01)
    assert pair.sample[0, :, :12].mean() / pair.transmission[:, 0].mean() > 0.7


def test_walls_along_the_beam_are_refused(small_setup, small_field):
    # a wall of 100 mm, as steep as planes come, seen from 20 m
    far = small_setup.with_values(propagation__sample_to_detector_m=20.0)
    wall = {
        "shape": "cuboid",
        "x_um": 0.0,
        "y_um": 0.0,
        "size_um": [200.0, 200.0, 1e5],
        "rotation": [1, 0, 0, 0],
    }
    with pytest.raises(ValueError, match=r"displaces rays by .* px, more than 256 px: its walls"):
        run(far, {**BALL, "bodies": [wall]}, small_field)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, "index must be >= 0, got -1"),
        ({"seed": -1}, r"seed must be >= 0 and below 2\^63, got -1"),
        ({"split": "test"}, "split must be one of training, validation, evaluation"),
        ({"material": "nylonn"}, "unknown material 'nylonn'"),
        ({"geometry": "sphre"}, "unknown geometry 'sphre'; did you mean 'sphere'"),
    ],
)
def test_bad_request_is_refused(small_setup, arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(small_setup, **arguments)


def test_pair_is_frozen(small_setup, small_field):
    pair = run(small_setup, EMPTY, small_field)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pair.dx = 0


def test_rims_outside_the_frame_are_seen_as_far_as_their_fringes_reach():
    # on fine pixels the fringes, √(λz) = 9.4 µm, are many pixels wide
    setup = Setup().with_values(detector__rows=64, detector__columns=64, detector__pixel_size_um=1.0)
    rim_um = 32.0 + 12.0  # right of the frame's centre: 12 px outside of the frame
    body = {"shape": "sphere", "x_um": rim_um + 60.0, "y_um": 0.0, "radius_um": 60.0}
    scene = {"geometry": "sphere", "material": "nylon", "bodies": [body]}
    thickness_m, margin = trace_object(setup, scene)
    (line,) = refract(setup, thickness_m)
    valid = valid_mask(setup, line.dx, line.dy, margin)
    assert (valid[32, -12:] == 0).all()
    assert (valid[:, :32] == 1).all()


def test_valid_of_a_cone_beam_counts_in_the_object_plane():
    # with M = 4 pixels of 40 µm are 10 µm in the object plane, as is √(λ z2/M) for z2/M = 2.26 m
    cone = Setup().with_values(
        beam__source_to_sample_m=3.0,
        propagation__sample_to_detector_m=9.0,
        detector__pixel_size_um=40.0,
        detector__rows=64,
        detector__columns=64,
    )
    same = cone.with_values(
        beam__source_to_sample_m=math.inf,
        propagation__sample_to_detector_m=cone.effective_distance_m,
        detector__pixel_size_um=10.0,
    )
    step = np.zeros((80 * 4, 80 * 4), np.float32)
    step[:, 160:] = 4 * 0.31
    flat = np.zeros_like(step)
    assert np.array_equal(valid_mask(cone, step, flat, 8), valid_mask(same, step, flat, 8))
    assert 0 < (valid_mask(cone, step, flat, 8) == 0).mean() < 0.2


def test_transmission_is_the_mean_of_what_comes_through(small_setup, small_field):
    # strong absorption: the mean of exp(-μT) over a pixel is not exp of the mean
    scene = {
        "geometry": "sphere",
        "material": "Au@19.3",
        "bodies": [{"shape": "sphere", "x_um": 0.0, "y_um": 0.0, "radius_um": 150.0}],
    }
    pair = run(small_setup, scene, small_field)
    delta, beta = refractive_index("Au@19.3", 28.0)
    of_the_mean = np.exp(2 * beta / delta * pair.phase.astype(float))
    steep = pair.valid == 0
    assert (pair.transmission[steep] > 1.05 * of_the_mean[steep]).any()
    assert (pair.transmission >= of_the_mean - 1e-6).all()  # Jensen


# ---- polychromatic beams ----------------------------------------------------------------------------

LINES = [[22.0, 1.0], [40.0, 2.0]]


@pytest.fixture(scope="module")
def two_lines(small_setup):
    """A setup of two lines, and its field."""
    setup = small_setup.with_values(beam__spectrum=LINES, detector__rows=48, detector__columns=48)
    return setup, simulate_field(setup, seeds.field_rng(0, "training", 0), waves=True)


def test_one_line_is_the_monochromatic_run(small_setup):
    for propagation in ("rays", "waves"):
        one = simulate(small_setup.with_values(beam__spectrum=[[28.0, 7.0]]), propagation=propagation)
        mono = simulate(small_setup, propagation=propagation)
        for name in ARRAYS:
            assert np.array_equal(getattr(one, name), getattr(mono, name))


@pytest.mark.parametrize("propagation", ["rays", "waves"])
def test_two_lines_are_summed_with_their_weights(two_lines, propagation):
    setup, field = two_lines
    assert [len(field.lines), len(setup.lines)] == [2, 2]
    pair = run(setup, BALL, field, propagation=propagation)
    parts = []
    for number, (share, line) in enumerate(setup.lines):
        # the same sandpaper at one energy alone, drawn anew
        alone = simulate_field(line, seeds.field_rng(0, "training", 0), waves=True)
        assert np.array_equal(alone.intensity, field.lines[number].intensity)
        parts.append((share, run(line, BALL, alone, propagation=propagation)))
    assert sum(share for share, _ in parts) == pytest.approx(1.0)
    for name in ("reference", "sample", "transmission"):
        expected = sum(share * getattr(part, name) for share, part in parts)
        assert np.allclose(getattr(pair, name), expected, atol=2e-6 if propagation == "rays" else 5e-4)
    for name in ("dx", "dy"):
        light = [share * part.transmission for share, part in parts]
        moved = sum(w * getattr(part, name) for w, (_, part) in zip(light, parts, strict=True))
        assert np.allclose(getattr(pair, name), moved / sum(light), atol=3e-4)  # at the rim
        assert np.abs(getattr(pair, name)).max() > 0.1


def test_phase_of_a_spectrum_is_that_at_its_effective_energy(two_lines):
    setup, field = two_lines
    pair = run(setup, BALL, field)
    single = setup.with_values(beam__spectrum=(), beam__energy_kev=setup.beam.energy_kev)
    mono = run(single, BALL, simulate_field(single, seeds.field_rng(0, "training", 0)))
    assert np.array_equal(pair.phase, mono.phase)
    # where little is absorbed the labels are its gradient
    assert np.allclose(pair.dx, mono.dx, atol=3e-3 * np.abs(mono.dx).max())
    mean = sum(share * refractive_index("nylon", line.beam.energy_kev)[0] for share, line in setup.lines)
    assert refractive_index("nylon", setup.beam.energy_kev)[0] == pytest.approx(mean, rel=2e-3)


def test_an_absorbing_object_hardens_the_label(small_setup, wedge):
    # behind 20 mm of Al2O3 nothing is left of 22 keV: the label is that of 40 keV
    setup = small_setup.with_values(beam__spectrum=LINES)
    scene = {**wedge(9.0, 0.0, middle_m=20e-3), "material": "al2o3"}
    pair = truth(setup, scene)
    delta = refractive_index("al2o3", 40.0)[0]
    assert np.allclose(pair.dx, -2.0 * delta * 9.0 / 9.9e-6, rtol=2e-3)
    soft = truth(setup, wedge(9.0, 0.0, middle_m=5e-3))
    assert soft.dx.mean() / (-2.0 * refractive_index("nylon", 40.0)[0] * 9.0 / 9.9e-6) > 1.2


def test_the_weight_of_a_line_grows_with_its_energy_in_an_integrating_detector(two_lines):
    setup, field = two_lines
    shares = [share for share, _ in setup.lines]
    energies = [line.beam.energy_kev for _, line in setup.lines]
    integrating = setup.with_values(detector__integrating=True)
    weighed = [share for share, _ in integrating.lines]
    assert weighed[1] / weighed[0] == pytest.approx(shares[1] / shares[0] * energies[1] / energies[0])
    reference = run(integrating, EMPTY, simulate_field(integrating, seeds.field_rng(0, "training", 0)))
    (place,) = draw_places(field, (256, 256), 1, np.random.default_rng(1))
    expected = sum(
        weight * cut(part.intensity, place, (256, 256))
        for weight, part in zip(weighed, field.lines, strict=True)
    )
    image = detector.record(integrating, expected.astype(np.float32), np.random.default_rng(0))
    assert np.allclose(reference.reference[0], image, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 9), (1, 9), (8, 2)])
def test_the_steepest_step_lies_along_either_axis(rng, shape):
    for _ in range(20):
        thickness = rng.random(shape).astype(np.float32)
        steps = [np.abs(np.diff(thickness, axis=axis)).max(initial=0) for axis in (0, 1)]
        for steepest in (tracing._steepest, tracing._steepest.py_func):
            assert steepest(thickness) == max(steps)


def test_the_neighbours_of_a_pixel_are_eight(rng):
    values = rng.random((2, 12, 15)).astype(np.float32)
    for extreme, by_scipy in ((np.minimum, ndimage.minimum_filter), (np.maximum, ndimage.maximum_filter)):
        expected = [by_scipy(plane, 3, mode="nearest") for plane in values]
        assert np.array_equal(validity._over_neighbours(extreme, values), expected)
