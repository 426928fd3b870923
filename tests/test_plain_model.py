"""The forward model against a plain one in NumPy and SciPy."""

import numpy as np
import pytest

from specksim import detector, phantoms
from specksim.forward import simulate_pair
from specksim.sandpaper import cut, draw_places
from specksim.tracing import trace_object
from tests import plain_model


@pytest.mark.parametrize("material", ["nylon", "al2o3"])
@pytest.mark.parametrize("geometry", ["sphere", "fiber", "spheres-in-fiber"])
def test_a_pair_is_that_of_the_plain_model(small_setup, small_field, geometry, material):
    scene = phantoms.draw_scene(geometry, material, small_setup, np.random.default_rng(7))
    pair = simulate_pair(small_setup, scene, small_field, np.random.default_rng(1), np.random.default_rng(2))
    _, margin_px = trace_object(small_setup, scene)
    n = small_setup.numerics.oversampling
    cells = tuple((size + 2 * margin_px) * n for size in pair.dx.shape)
    (place,) = draw_places(small_field, cells, 1, np.random.default_rng(1))
    speckle = cut(small_field.intensity, place, cells).astype(float)
    taps = [detector.blur_taps(small_setup.blur_px, n, deposited) for deposited in (True, False)]
    plain = plain_model.simulate(small_setup, scene, speckle, margin_px, taps)
    reference, sample, dx, dy, phase, transmission, valid = plain
    assert np.allclose(pair.reference[0], reference, atol=1e-5)
    steep = valid == 0
    for ours, theirs in ((pair.dx, dx), (pair.dy, dy)):  # near rims the plain model averages more cells
        assert np.allclose(ours[~steep], theirs[~steep], atol=1e-3)
        assert np.abs(ours - theirs).max() < 0.01 * np.abs(theirs).max()
    assert np.allclose(pair.phase, phase, rtol=1e-3, atol=0.01 * np.abs(phase).max())
    assert np.allclose(pair.transmission, transmission, atol=1e-3)
    assert np.mean(pair.valid != valid) < 1e-3
    assert np.allclose(pair.sample[0][~steep], sample[~steep], atol=0.01)
    assert np.abs(pair.sample[0] - sample).mean() < 2e-3
    assert np.abs(dx).max() > 0.02
