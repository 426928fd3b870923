"""Pairs as methods get them, and what is measured of a result."""

from dataclasses import replace

import numpy as np
import pytest

import specksim
from specksim.benchmark.metrics import evaluate
from specksim.benchmark.pairs import (
    ZERO_MOTION,
    Source,
    exposures_of,
    measure,
    measure_still,
    members,
    open_pairs,
    zero_motion_pairs,
)
from specksim.retrieval import Retrieval

SMALL = {"detector__rows": 32, "detector__columns": 32, "diffuser__sheets": 1}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Two pairs of two exposures without noise."""
    setup = specksim.Setup().with_values(detector__photons_per_pixel=float("inf"), **SMALL)
    return specksim.generate(tmp_path_factory.mktemp("quiet") / "quiet.h5", setup, n=2, steps=2)


def retrieval(dx, dy):
    return Retrieval(dx, dy, np.ones_like(dx), method="trial")


def test_two_exposures_of_one_pattern():
    reference = np.random.default_rng(0).poisson(400, (64, 64)).astype(np.uint16)
    pairs = zero_motion_pairs(reference, 1)
    first, second = pairs[ZERO_MOTION[1]]
    np.testing.assert_array_equal(first + second, reference)
    assert first.dtype == reference.dtype
    assert first.mean() == pytest.approx(200, rel=0.02)
    noise = first.astype(float) - second
    assert noise.var() == pytest.approx(400, rel=0.1)
    assert list(zero_motion_pairs(reference.astype(np.float32), 1)) == [ZERO_MOTION[0]]
    assert list(zero_motion_pairs(reference, 1, photons=False)) == [ZERO_MOTION[0]]


def test_pairs_of_a_plain_detector_are_as_they_are(tmp_path):
    setup = specksim.Setup().with_values(**SMALL)
    path = specksim.generate(tmp_path / "plain.h5", setup, n=1)
    with open_pairs(Source("plain", path, 1, "")) as pairs, specksim.open_dataset(path) as dataset:
        np.testing.assert_array_equal(pairs[0].sample, dataset[0].sample)
        assert pairs[0].sample.dtype == np.uint16
        assert (len(pairs), pairs.steps, pairs.setup) == (1, 1, setup)


def test_pairs_of_a_camera_are_photons(tmp_path):
    camera = {"detector__offset": 100.0, "detector__gain": 0.5, "detector__read_noise_counts": 5.0}
    path = specksim.generate(tmp_path / "camera.h5", specksim.Setup().with_values(**SMALL, **camera), n=1)
    with open_pairs(Source("camera", path, 1, "")) as pairs:
        assert pairs[0].reference.mean() == pytest.approx(2000, rel=0.1)
        assert pairs[0].reference.min() > 0


def test_defocus_blurs_the_sample_alone_and_then_exposes_both(quiet):
    source = Source("soft", quiet, 2, "", defocus_px=1.0, photons_per_pixel=1e6)
    with open_pairs(source) as soft, open_pairs(Source("sharp", quiet, 2, "")) as sharp:
        blurred, plain = soft[1], sharp[1]
        assert soft.setup.detector.photons_per_pixel == 1e6
        again = soft[1]
    assert blurred.sample.dtype == np.uint32
    np.testing.assert_array_equal(blurred.sample, again.sample)
    np.testing.assert_allclose(blurred.reference / 1e6, plain.reference, rtol=0.01)
    contrast = [pair.sample[0].std() / pair.sample[0].mean() for pair in (blurred, plain)]
    assert contrast[0] < 0.8 * contrast[1]
    assert blurred.sample.mean() / 1e6 == pytest.approx(plain.sample.mean(), rel=0.01)
    np.testing.assert_array_equal(blurred.dx, plain.dx)


def test_exposures_of_a_pair(quiet):
    with open_pairs(Source("sharp", quiet, 2, "")) as pairs:
        pair = pairs[0]
    assert exposures_of(pair, 1)[0].shape == (32, 32)
    assert exposures_of(pair, 2)[1].shape == (2, 32, 32)


def test_measure_of_a_known_error(quiet):
    with specksim.open_dataset(quiet) as dataset:
        pair, setup = dataset[0], dataset.request.setup
    found = measure(retrieval(pair.dx + np.float32(0.3), pair.dy - np.float32(0.4)), pair, setup)
    assert (found.geometry, found.material) == (pair.scene["geometry"], pair.scene["material"])
    for pixels, count in (("all", 32 * 32), ("valid", np.count_nonzero(pair.valid))):
        figures = evaluate(found.tallies["all", pixels])
        assert figures["epe_mean"] == pytest.approx(0.5, abs=1e-6)
        assert figures["bias_dy"] == pytest.approx(-0.4, abs=1e-6)
        classes = [found.tallies[group, pixels] for group, which in found.tallies if which == pixels]
        assert sum(part[0] for part in classes) == 2 * count  # all of them, and the classes share them
    length = np.hypot(pair.dx, pair.dy)
    assert found.tallies["|d| = 0", "all"][0] == np.count_nonzero(length == 0)
    assert found.tallies["> 1 px", "all"][0] == np.count_nonzero(length > 1)
    assert found.numbers["all", "phase_rmse"] > 0
    assert measure(retrieval(pair.dx, pair.dy), pair, setup).numbers["all", "phase_rmse"] == 0


def test_results_that_are_none(quiet):
    with specksim.open_dataset(quiet) as dataset:
        pair, setup = dataset[0], dataset.request.setup
    with pytest.raises(ValueError, match="must have the shape"):
        measure(retrieval(pair.dx[:-1], pair.dy[:-1]), pair, setup)
    with pytest.raises(ValueError, match="finite"):
        measure(retrieval(pair.dx * np.nan, pair.dy), pair, setup)


def test_still_and_members(quiet):
    zero = np.zeros((8, 8), np.float32)
    assert evaluate(measure_still(retrieval(zero + 0.3, zero + 0.4)))["epe_mean"] == pytest.approx(0.5)
    with specksim.open_dataset(quiet) as dataset:
        one = measure(retrieval(dataset[0].dx, dataset[0].dy), dataset[0], dataset.request.setup)
    groups = members([one, replace(one, geometry="cone"), one])
    assert groups["all"] == [0, 1, 2]
    assert groups["geometry cone"] == [1]
    assert groups["material nylon"] == [0, 1, 2]
