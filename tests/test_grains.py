"""Grains of sandpaper, and their projection."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim import grains as sand
from specksim import sandpaper
from specksim.convex import add_convex
from specksim.grains import Grains, draw_grains, project_grains
from specksim.materials import wavenumber_per_m
from specksim.setups import Setup

SHEET = (1.2e-3, 1.0e-3)


@pytest.fixture(scope="module")
def grains() -> Grains:
    return draw_grains(Setup(), SHEET, np.random.default_rng(1))


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
    sand._project(out[0], grains.planes[:1], grains.centre_m[:1], pitch, True)
    sand._project.py_func(out[1], grains.planes[:1], grains.centre_m[:1], pitch, True)
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
    for planes in sand._unit_grains(12, np.random.default_rng(3)):
        raster = np.zeros((500, 500))
        add_convex(raster, planes, 0.0, 0.0, -1.0, -1.0, 0.004, 1.0, False)
        assert (raster > 0).sum() * 0.004**2 == pytest.approx(math.pi / 4, rel=5e-3)
        assert sand._outline_area.py_func(planes, 4.0, 48) == pytest.approx(math.pi / 4, rel=1e-3)
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


@pytest.mark.parametrize(("frame_px", "grain_um"), [(16, 125.0), (24, 250.0), (64, 125.0)])
def test_coverage_holds_on_small_fields(frame_px, grain_um, rng):
    setup = Setup().with_values(
        detector__rows=frame_px, detector__columns=frame_px, diffuser__grain_size_um=grain_um
    )
    shape = sandpaper.field_shape(setup)
    size = (shape[0] * setup.ray_pitch_m, shape[1] * setup.ray_pitch_m)
    assert min(size) >= 10 * grain_um * 1e-6
    numbers = [len(draw_grains(setup, size, rng).area_m2) / 4 for _ in range(3)]
    mean_area = math.pi / 4 * (grain_um * 1e-6) ** 2 * math.exp(2 * 0.2**2)
    assert numbers[0] * mean_area / (size[0] * size[1]) == pytest.approx(0.7, rel=0.02)


def test_the_outline_of_each_grain_has_the_area_of_its_diameter(rng):
    # rasterised one by one: area_m2 comes from the diameters that were drawn, not from the planes
    setup = Setup().with_values(diffuser__sheets=1, diffuser__coverage=0.05)
    grains = draw_grains(setup, (2e-3, 2e-3), rng)
    pitch = 2e-3 / 2000
    measured = []
    for k in range(len(grains.area_m2)):
        one = dataclasses.replace(
            grains, planes=grains.planes[k : k + 1], centre_m=grains.centre_m[k : k + 1]
        )
        measured.append(np.count_nonzero(project_grains(one, (2000, 2000))) * pitch**2)
    assert len(measured) > 10
    assert measured == pytest.approx(grains.area_m2, rel=0.01)


@pytest.mark.parametrize(("energy_kev", "coverage"), [(10.0, 0.7), (28.0, 0.5), (28.0, 0.95), (60.0, 0.7)])
def test_sheets_let_through_what_the_setup_reckons_with(energy_kev, coverage, rng):
    setup = Setup().with_values(diffuser__coverage=coverage, diffuser__sheets=2)
    _, beta = setup.diffuser.refractive_index(energy_kev)
    grains = draw_grains(setup, (4e-3, 4e-3), rng)
    thickness = project_grains(grains, (500, 500))
    through = np.exp(-2 * wavenumber_per_m(energy_kev) * beta * thickness.astype(float)).mean()
    assert setup.diffuser.transmission(energy_kev) == pytest.approx(
        through, rel=0.1 if energy_kev < 20 else 0.01
    )
