"""Wave optics of a pair: against the field it is cut from, against rays, and what it refuses."""

import math
from functools import lru_cache

import numpy as np
import pytest
from scipy import special

from specksim import Setup, detector, diffraction, phantoms, seeds, tracing
from specksim.diffraction import diffracted_light, wave_grid, wave_margin_px
from specksim.forward import simulate, simulate_pair
from specksim.materials import refractive_index
from specksim.optics import rays
from specksim.phantoms import registry
from specksim.sandpaper import Place, SpeckleField, cut, simulate_field
from tests.conftest import shift_between

EMPTY = {"geometry": "sphere", "material": "nylon", "bodies": []}
LABELS = ("reference", "dx", "dy", "phase", "transmission", "valid", "step_offset_px")
CONE = {"beam__source_to_sample_m": 1.5, "propagation__sample_to_detector_m": 1.5}


@pytest.fixture(scope="module")
def field(small_setup: Setup) -> SpeckleField:
    """The field of `small_setup` with its sandpaper."""
    return simulate_field(small_setup, seeds.field_rng(0, "training", 0), waves=True)


def run(setup, scene, field, propagation="waves", **options):
    crop, noise = np.random.default_rng(1), np.random.default_rng(1001)
    return simulate_pair(setup, scene, field, crop, noise, propagation=propagation, **options)


def body(shape: str, radius_um: float, material: str = "nylon") -> dict:
    """A sphere or a fibre whose rim crosses a frame of 96 px."""
    placed = {"shape": shape, "x_um": 60.0 - 0.7 * radius_um, "y_um": 35.0 - 0.5 * radius_um}
    turned = {"angle_rad": 0.6, "tilt_rad": 0.0} if shape == "cylinder" else {}
    return {
        "geometry": "sphere",
        "material": material,
        "bodies": [{**placed, **turned, "radius_um": radius_um}],
    }


def rms(difference: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(np.mean(difference[where].astype(float) ** 2)))


# ---- what does not depend on the propagation --------------------------------------------------------


def test_nothing_but_the_sample_depends_on_the_propagation(small_setup):
    setup = small_setup.with_values(detector__photons_per_pixel=500.0)
    one, two = (simulate(setup, seed=3, index=1, propagation=mode) for mode in ("rays", "waves"))
    assert one.scene == two.scene
    for name in LABELS:
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert one.sample.dtype == two.sample.dtype
    assert not np.array_equal(one.sample, two.sample)


def test_references_of_all_steps_are_those_of_rays(small_setup, field):
    # noise included: how many numbers a sample's noise takes depends on its light
    setup = small_setup.with_values(detector__photons_per_pixel=300.0)
    scene = body("sphere", 150.0)
    by_rays, by_waves = (run(setup, scene, field, mode, steps=3) for mode in ("rays", "waves"))
    assert np.array_equal(by_rays.reference, by_waves.reference)
    assert np.array_equal(run(setup, scene, field).sample[0], by_waves.sample[0])


def test_waves_keep_the_field_that_rays_use(small_field, field):
    assert np.array_equal(field.intensity, small_field.intensity)
    assert small_field.thickness_m is None
    assert field.thickness_m.shape == tuple(2 * n for n in field.intensity.shape)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"diffuser__diffuser_to_sample_m": 1.0, "propagation__sample_to_detector_m": 1.0},
        {**CONE, "diffuser__diffuser_to_sample_m": 0.5, "detector__pixel_size_um": 16.0},
        {**CONE, "diffuser__diffuser_to_sample_m": 0.5, "beam__source_fwhm_um": 20.0},
    ],
    ids=["parallel", "upstream", "cone", "source of finite size"],
)
def test_without_an_object_the_sample_is_the_reference(small_setup, values):
    # the wave of a crop with its margin against that of the whole periodic field
    setup = small_setup.with_values(**values)
    pair = run(setup, EMPTY, simulate_field(setup, seeds.field_rng(0, "training", 0), waves=True), steps=2)
    assert pair.reference.std() > 0.05
    difference = pair.sample - pair.reference
    assert np.abs(difference).max() < 2e-3 * pair.reference.std()


def test_a_wider_margin_changes_nothing(small_setup, field, monkeypatch):
    # an object that is cut by the margin, and another that lies just outside of it
    scene = body("sphere", 300.0, "al2o3")
    narrow = run(small_setup, scene, field)
    wide_px = 2 * wave_margin_px(small_setup)
    monkeypatch.setattr(diffraction, "wave_margin_px", lambda setup, extra_px: wide_px)
    wide = run(small_setup, scene, field)
    assert rms(wide.sample - narrow.sample, wide.sample > 0) < 5e-4 * wide.reference.std()


def test_each_step_is_the_image_of_its_place(small_setup, field):
    scene = body("sphere", 150.0)
    one, three = run(small_setup, scene, field), run(small_setup, scene, field, steps=3)
    by_rays = run(small_setup, scene, field, "rays", steps=3)
    assert np.array_equal(one.sample[0], three.sample[0])
    assert np.array_equal(three.reference, by_rays.reference)
    valid = three.valid == 1
    for step in range(3):
        assert rms(three.sample[step] - by_rays.sample[step], valid) < 0.035 * three.reference.std()
        assert rms(three.sample[step] - by_rays.sample[step - 1], valid) > 0.5 * three.reference.std()


# ---- against closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize("propagation", ["rays", "waves"])
@pytest.mark.parametrize(
    "values",
    [{}, CONE, {**CONE, "diffuser__diffuser_to_sample_m": 0.4}],
    ids=["parallel", "cone", "upstream"],
)
def test_a_wedge_shifts_the_image_by_z2_delta_slope_on_each_axis(
    small_setup, wedge, monkeypatch, propagation, values
):
    delta, _ = refractive_index("nylon", 28.0)
    for module in (tracing, diffraction):  # without absorption, which weighs the light within the blur
        monkeypatch.setattr(module, "refractive_index", lambda *_: (delta, 1e-20))
    fine = {"numerics__wave_pitch_um": 0.62}  # on which the wedge's phase adds to the sandpaper's well
    setup = small_setup.with_values(detector__psf_sigma_px=1.0, **fine, **values)
    shared = simulate_field(setup, seeds.field_rng(0, "training", 0), waves=True)
    z2 = setup.propagation.sample_to_detector_m
    slope_x, slope_y = 0.6 * 9.9e-6 / (z2 * delta), -0.3 * 9.9e-6 / (z2 * delta)
    pair = run(setup, wedge(slope_x, slope_y, middle_m=30e-3), shared, propagation)
    assert (pair.dx.mean(), pair.dy.mean()) == pytest.approx((-0.6, 0.3), abs=1e-3)
    dx, dy, brightness = shift_between(pair.reference[0], pair.sample[0], (-0.5, 0.2))
    assert (dx, dy) == pytest.approx((-0.6, 0.3), abs=3e-3)
    assert brightness == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(("pitch_um", "shift_px"), [(1.25, (0.2, -0.1)), (0.62, (1.1, -0.6))])
def test_the_image_behind_a_wedge_is_the_shifted_reference(
    small_setup, wedge, monkeypatch, pitch_um, shift_px
):
    # shifted in Fourier space on the ray grid, over the whole periodic field; the steeper the wedge, the
    # finer the grid must be on which its phase is added to that of the sandpaper
    delta, _ = refractive_index("nylon", 28.0)
    monkeypatch.setattr(diffraction, "refractive_index", lambda *_: (delta, 1e-20))
    setup = small_setup.with_values(numerics__wave_pitch_um=pitch_um)
    field = simulate_field(setup, seeds.field_rng(0, "training", 0), waves=True)
    place, margin_px = Place(False, False, False, (37, 90)), 10
    slopes = [-shift * 9.9e-6 / (2.0 * delta) for shift in shift_px]
    light = diffracted_light(setup, wedge(*slopes, middle_m=20e-3), field, place, margin_px)
    fy, fx = (np.fft.fftfreq(n, 0.25) for n in field.intensity.shape)
    ramp = np.exp(-2j * np.pi * (fx[None, :] * shift_px[0] + fy[:, None] * shift_px[1]))
    shifted = np.fft.ifft2(np.fft.fft2(field.intensity) * ramp).real.astype(np.float32)
    expected = cut(shifted, place, (84 * 4, 84 * 4))
    images = [detector.record(setup, image, np.random.default_rng(0)) for image in (light, expected)]
    assert np.std(images[0] - images[1]) < 0.02 * images[1].std()


class Edge:
    """A half-plane that lets nothing through, right of or below the frame's centre."""

    def thickness(self, scene, grid):
        beyond = grid.x_m[None, :] > 0 if scene["along_x"] else grid.y_m[:, None] > 0
        return {"Au@19.3": np.broadcast_to(np.float32(5e-3) * beyond, grid.shape).astype(np.float32)}

    def draw(self, rng, setup):
        return {"along_x": True}


@pytest.mark.parametrize("along_x", [True, False])
def test_light_behind_an_edge_is_that_of_the_cornu_spiral(small_setup, monkeypatch, along_x):
    monkeypatch.setitem(registry._BUILT_IN, "edge", Edge())
    distance_m = 0.5
    setup = small_setup.with_values(
        detector__pixel_size_um=1.2, numerics__oversampling=2, propagation__sample_to_detector_m=distance_m
    )
    open_field = SpeckleField(np.ones((512, 512), np.float32), 1.0, (), np.zeros((512, 512), np.float32))
    scene = {"geometry": "edge", "material": "Au@19.3", "along_x": along_x}
    light = diffracted_light(setup, scene, open_field, Place(False, False, False, (0, 0)), 10)
    profile = light.mean(axis=0 if along_x else 1)
    x = (np.arange(len(profile)) - 0.5 * (len(profile) - 1)) * setup.ray_pitch_m
    sine, cosine = special.fresnel(-x * math.sqrt(2 / (setup.wavelength_m * distance_m)))
    expected = 0.5 * ((cosine + 0.5) ** 2 + (sine + 0.5) ** 2)
    near = np.abs(x) < 10e-6  # where the fringes are wider than the grid's pitch
    assert expected[near].max() > 1.35
    assert np.abs(profile - expected)[near].max() < 0.03


def test_source_far_away_is_a_parallel_beam(small_setup, field):
    far = small_setup.with_values(beam__source_to_sample_m=1e8)
    scene = body("sphere", 150.0)
    one, two = run(far, scene, field), run(small_setup, scene, field)
    assert np.abs(one.sample - two.sample).max() < 1e-4


def test_halving_the_pitch_changes_the_sample_little(small_setup, field):
    fine = small_setup.with_values(numerics__wave_pitch_um=0.62)
    fine_field = simulate_field(fine, seeds.field_rng(0, "training", 0), waves=True)
    scene = body("sphere", 150.0)
    coarse, halved = run(small_setup, scene, field), run(fine, scene, fine_field)
    assert halved.sample.std() == pytest.approx(coarse.sample.std(), rel=0.03)


# ---- rays against waves -----------------------------------------------------------------------------


def unflagged(pair):
    """Pixels of the sample that are valid and that no ray from a flagged pixel reaches."""
    reached = rays.deposit(1.0 - pair.valid, pair.dx, pair.dy)
    return (pair.valid == 1) & (reached < 1e-3)


@pytest.mark.parametrize(("distance_m", "pixel_um"), [(0.5, 6.5), (1.0, 9.9), (2.0, 6.5), (2.0, 9.9)])
@pytest.mark.parametrize("shape", ["sphere", "cylinder"])
@pytest.mark.parametrize("material", ["nylon", "al2o3"])
def test_rays_are_waves_where_they_are_valid(material, shape, distance_m, pixel_um):
    require_agreement(material, shape, 200.0, distance_m, pixel_um)


@pytest.mark.slow
@pytest.mark.parametrize("distance_m", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("pixel_um", [6.5, 9.9])
@pytest.mark.parametrize("radius_um", [100.0, 300.0, 1000.0])
@pytest.mark.parametrize("shape", ["sphere", "cylinder"])
@pytest.mark.parametrize("material", ["nylon", "al2o3"])
def test_rays_are_waves_for_all_sizes_and_distances(material, shape, radius_um, pixel_um, distance_m):
    require_agreement(material, shape, radius_um, distance_m, pixel_um)


def require_agreement(material, shape, radius_um, distance_m, pixel_um):
    """Rays and waves agree in valid pixels; rays beat no shift by 3 where there is some; rims may be off."""
    limit = {"nylon": 0.035, "al2o3": 0.07}[material]
    setup, shared = _bench(distance_m, pixel_um)
    scene = body(shape, radius_um, material)
    by_rays, by_waves = run(setup, scene, shared, "rays"), run(setup, scene, shared)
    contrast, where = by_rays.reference.std(), unflagged(by_rays)
    difference = by_rays.sample - by_waves.sample
    assert where.mean() > 0.3
    assert rms(difference, where[None]) < limit * contrast
    flagged = by_rays.valid[None] == 0
    if flagged.any():  # outside of `valid` rays may be far off, and are
        assert rms(difference, flagged) > 2 * rms(difference, where[None])

    inside = where & (by_rays.transmission < 1)
    still = by_rays.reference * by_rays.transmission - by_waves.sample
    if inside.any() and rms(np.hypot(by_rays.dx, by_rays.dy), inside) >= 0.15:
        assert rms(difference, inside[None]) < rms(still, inside[None]) / 3


@pytest.mark.parametrize("preset", ["lab-2m", "id17-52kev", "mct-25kev"])
def test_presets_work_by_rays_and_by_waves(preset):
    setup = Setup.load(preset).with_values(
        detector__rows=48, detector__columns=48, detector__photons_per_pixel=math.inf
    )
    by_rays, by_waves = (
        simulate(setup, geometry="spheres-in-fiber", propagation=mode) for mode in ("rays", "waves")
    )
    contrast = by_rays.reference.std()
    assert 0.1 < contrast < 0.6
    assert np.array_equal(by_rays.reference, by_waves.reference)
    difference = by_rays.sample - by_waves.sample
    assert rms(difference, unflagged(by_rays)[None]) < 0.035 * contrast


def test_signals_of_the_laboratory_are_small():
    # 0.01 px in the median for nylon: a shift of z2·δ|∇T| on pixels of 55 µm
    setup = Setup.load("lab-2m").with_values(detector__rows=64, detector__columns=64)
    scenes = [
        phantoms.draw_scene(name, "nylon", setup, np.random.default_rng(3)) for name in ("sphere", "fiber")
    ]
    for scene in scenes:
        thickness_m, _ = tracing.trace_object(setup, scene)
        (line,) = tracing.refract(setup, thickness_m)
        shift = np.hypot(line.dx, line.dy) / setup.numerics.oversampling
        assert 0.004 < np.median(shift[shift > 0]) < 0.03


@lru_cache
def _bench(distance_m, pixel_um):
    """A frame of 96 px and its field."""
    setup = Setup().with_values(
        propagation__sample_to_detector_m=distance_m,
        detector__pixel_size_um=pixel_um,
        detector__rows=96,
        detector__columns=96,
        detector__photons_per_pixel=math.inf,
    )
    return setup, simulate_field(setup, seeds.field_rng(0, "evaluation", 0), waves=True)


# ---- sampling, and what is refused ------------------------------------------------------------------


def test_the_grid_holds_the_frame_and_all_that_waves_can_reach(small_setup):
    grid, margin_px = wave_grid(small_setup), wave_margin_px(small_setup)
    assert grid.shape == ((64 + 2 * margin_px) * 8,) * 2
    assert grid.pitch_m == pytest.approx(1.2375e-6)
    # the steepest slope a grid holds: λ/2q over 2 m
    steepest_px = small_setup.wavelength_m / (2 * grid.pitch_m) * 2.0 / 9.9e-6
    assert margin_px > steepest_px + 3 * math.sqrt(small_setup.wavelength_m * 2.0) / 9.9e-6 + 2
    far = small_setup.with_values(propagation__sample_to_detector_m=20.0)
    assert wave_margin_px(far) > 10 * steepest_px


def test_a_distance_too_far_for_any_grid_is_refused(small_setup):
    far = small_setup.with_values(propagation__sample_to_detector_m=1000.0)
    with pytest.raises(ValueError, match=r"samples along an axis, more than 16384: over 1e\+03 m.*shorter"):
        wave_margin_px(far)


def test_an_object_too_steep_in_phase_is_refused(small_setup, wedge, field):
    delta, _ = refractive_index("nylon", 28.0)
    steep = 3.4 * 9.9e-6 / (2.0 * delta)
    words = r"'wedge' in nylon and the sandpaper .* differ by more than π .*: lower numerics.wave_pitch_um"
    with pytest.raises(ValueError, match=words):
        run(small_setup, wedge(steep, 0.0, middle_m=80e-3), field)
    assert run(small_setup, wedge(0.1 * steep, 0.0, middle_m=80e-3), field).sample.min() > 0


def test_a_field_without_its_sandpaper_is_refused(small_setup, small_field):
    with pytest.raises(ValueError, match="wave optics needs the sandpaper of the speckle field"):
        run(small_setup, EMPTY, small_field)


def test_an_unknown_propagation_is_refused(small_setup):
    with pytest.raises(ValueError, match="propagation must be one of rays, waves, got 'light'"):
        simulate(small_setup, propagation="light")
