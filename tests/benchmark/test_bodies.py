"""Diameter and δ from fits: of exact labels, behind windows, in noise; and what cannot be fitted."""

import math

import numpy as np
import pytest
from scipy import ndimage

from specksim.benchmark.bodies import BodyFit, can_be_fitted, errors, fit_bodies, rough_guess
from specksim.materials import refractive_index
from specksim.phantoms import draw_scene


def sphere(x_um=100.0, y_um=-50.0, radius_um=500.0):
    return {"shape": "sphere", "x_um": x_um, "y_um": y_um, "radius_um": radius_um}


def fiber(angle_rad=0.7, tilt_rad=0.3, radius_um=400.0, x_um=100.0, y_um=-50.0):
    return {
        **sphere(x_um, y_um, radius_um),
        "shape": "cylinder",
        "angle_rad": angle_rad,
        "tilt_rad": tilt_rad,
    }


def scene_of(*bodies, material="nylon"):
    kind = "sphere" if bodies[0]["shape"] == "sphere" else "fiber"
    return {"geometry": kind, "material": material, "bodies": list(bodies)}


def blurred(displacement, sigma):
    return [ndimage.gaussian_filter(part, sigma, mode="nearest") for part in displacement]


def fit(displacement, scene, setup):
    return fit_bodies(*displacement, setup, *rough_guess(scene, setup))


@pytest.mark.parametrize(
    "bodies",
    [
        [sphere()],
        [sphere(-1000.0, 900.0, 400.0)],  # a part is outside
        [fiber()],
        [fiber(angle_rad=0.0, tilt_rad=0.0, radius_um=150.0)],
        [fiber(angle_rad=1.4)],
        [sphere(), sphere(-700.0, 400.0, 200.0), sphere(300.0, 200.0, 300.0)],  # two overlap
    ],
)
def test_exact_labels_give_diameter_and_delta_within_a_thousandth(bodies, setup, labels):
    scene = scene_of(*bodies)
    found = fit(labels(scene, setup), scene, setup)
    assert max(errors(found, scene, setup).values()) < 0.1
    for body, true in zip(found.bodies, bodies, strict=True):
        assert body["radius_um"] == pytest.approx(true["radius_um"], rel=1e-3)
        assert body.keys() == true.keys()
        if body["shape"] == "sphere":
            assert (body["x_um"], body["y_um"]) == pytest.approx((true["x_um"], true["y_um"]), abs=1.0)
        else:
            angle = true["angle_rad"]
            assert body["angle_rad"] == pytest.approx(angle, abs=1e-3)
            off = (body["x_um"] - true["x_um"]) * math.sin(angle)
            off -= (body["y_um"] - true["y_um"]) * math.cos(angle)
            assert off == pytest.approx(0.0, abs=2.0)


def test_a_rim_along_columns_costs_half_a_thousandth_more(setup, labels):
    scene = scene_of(fiber(angle_rad=0.5 * math.pi))
    assert max(errors(fit(labels(scene, setup), scene, setup), scene, setup).values()) < 0.2


def test_in_a_cone_beam_and_of_another_material(setup, labels):
    lab = type(setup).load("lab-2m").with_values(detector__rows=128, detector__columns=128)
    scene = scene_of(sphere(radius_um=800.0), material="al2o3")
    assert max(errors(fit(labels(scene, lab), scene, lab), scene, lab).values()) < 0.1


def test_the_first_guess_does_not_matter(setup, labels):
    scene = scene_of(sphere())
    truth = blurred(labels(scene, setup), 2.0)
    delta = refractive_index("nylon", setup.beam.energy_kev)[0]
    first = fit(truth, scene, setup)
    second = fit_bodies(*truth, setup, [sphere(0.0, 0.0, 420.0)], 1.5 * delta)
    assert second.diameters_um == pytest.approx(first.diameters_um, rel=1e-3)
    assert second.delta == pytest.approx(first.delta, rel=2e-3)


@pytest.mark.parametrize(("sigma", "thinner"), [(2.0, 0.44), (4.0, 1.05)])
def test_a_window_makes_a_sphere_thinner(setup, labels, sigma, thinner):
    """What the docstring says; radius 50.5 px."""
    scene = scene_of(sphere())
    found = fit(blurred(labels(scene, setup), sigma), scene, setup)
    assert 100 * (found.diameters_um[0] / 1000.0 - 1) == pytest.approx(-thinner, abs=0.15)
    assert errors(found, scene, setup)["delta_error"] < 0.5


def test_in_noise_and_beside_outliers(setup, labels):
    scene = scene_of(fiber())
    rng = np.random.default_rng(0)
    truth = np.array(labels(scene, setup))
    noisy = truth + 0.02 * 3.54 * 2 * ndimage.gaussian_filter(rng.standard_normal(truth.shape), (0, 2, 2))
    found = errors(fit(noisy, scene, setup), scene, setup)
    assert found["diameter_error"] < 2
    assert found["delta_error"] < 4


@pytest.mark.slow
def test_drawn_scenes_that_fit(setup, labels):
    fitted = 0
    for geometry in ("sphere", "fiber"):
        for seed in range(12):
            scene = draw_scene(geometry, "nylon", setup, np.random.default_rng(seed))
            if can_be_fitted(scene, setup) and len(scene["bodies"]) <= 2:
                found = errors(fit(labels(scene, setup), scene, setup), scene, setup)
                assert max(found.values()) < 0.5, (geometry, seed)
                fitted += 1
    assert fitted >= 4


def test_which_scenes_can_be_fitted(setup):
    assert can_be_fitted(scene_of(sphere(), fiber()), setup)
    assert not can_be_fitted(scene_of(sphere(x_um=1300.0)), setup)  # less than half is left
    assert not can_be_fitted(scene_of(sphere(radius_um=30.0)), setup)
    assert not can_be_fitted(
        scene_of(fiber(angle_rad=0.8, x_um=1100.0, y_um=-1100.0)), setup
    )  # across a corner
    assert not can_be_fitted(scene_of({**sphere(), "inclusion": True}), setup)
    assert not can_be_fitted(scene_of({**sphere(), "material": "al2o3"}), setup)
    assert not can_be_fitted(scene_of({**sphere(), "shape": "capsule"}), setup)
    assert not can_be_fitted({"geometry": "wedge", "material": "nylon"}, setup)


def test_errors_are_per_cent_without_sign(setup):
    delta = refractive_index("nylon", setup.beam.energy_kev)[0]
    scene = scene_of(sphere(radius_um=100.0), sphere(radius_um=200.0))
    found = BodyFit((sphere(radius_um=99.0), sphere(radius_um=206.0)), 0.95 * delta)
    assert found.diameters_um == (198.0, 412.0)
    assert errors(found, scene, setup) == pytest.approx({"diameter_error": 2.0, "delta_error": 5.0})
    with pytest.raises(ValueError, match="scene's 1 bodies, got 2"):
        errors(found, scene_of(sphere()), setup)


def test_an_object_out_of_the_frame_is_refused(setup, labels):
    scene = scene_of(sphere())
    truth = labels(scene, setup)
    delta = refractive_index("nylon", setup.beam.energy_kev)[0]
    with pytest.raises(ValueError, match=r"body 1 \(a sphere 1000.0 µm thick\) must show .* got 0"):
        fit_bodies(*truth, setup, [sphere(), sphere(x_um=3000.0)], delta)
    with pytest.raises(ValueError, match=r"body 0 \(a cylinder .* got 0"):
        fit_bodies(*truth, setup, [fiber(angle_rad=0.0, y_um=2000.0)], delta)


def test_nothing_to_fit_is_told(setup):
    scene = scene_of(sphere())
    with pytest.raises(ValueError, match=r"no body found|must show|must converge"):
        fit(np.zeros((2, 256, 256)), scene, setup)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bodies": []}, "one or more, got none"),
        ({"bodies": [{**sphere(), "shape": "cuboid"}]}, "spheres or cylinders .*cuboid"),
        ({"bodies": [{**sphere(), "inclusion": True}]}, "spheres or cylinders"),
        ({"delta": 0.0}, "delta must be > 0, got 0.0"),
        ({"delta": math.nan}, "delta must be > 0, got nan"),
        ({"dx": np.zeros((3, 3))}, r"frame's shape \(256, 256\), got \(3, 3\)"),
        ({"dx": np.full((256, 256), np.nan)}, "finite"),
        ({"border_px": -1}, "border_px must be >= 0 and leave pixels, got -1"),
        ({"border_px": 128}, "border_px must be >= 0 and leave pixels, got 128"),
    ],
)
def test_what_is_refused(setup, change, message):
    given = {
        "dx": np.zeros((256, 256)), "dy": np.zeros((256, 256)), "setup": setup,
        "bodies": [sphere()], "delta": 3e-7,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        fit_bodies(**{**given, **change})
