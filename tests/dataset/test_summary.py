"""What `specksim info` says."""

import math
import re

import numpy as np
import pytest

import specksim
from specksim.assessment import visibility
from specksim.dataset import open_dataset
from specksim.dataset.summary import summarise


@pytest.fixture(scope="module")
def summary(tiny):
    with open_dataset(tiny) as dataset:
        return summarise(dataset)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def test_the_summary_says_what_was_asked_for(summary, tiny):
    assert str(tiny) in summary["file"]
    assert summary["pairs"] == "5 of 2 × 32 × 40"
    assert summary["materials"] == "nylon 2, pmma 2, al2o3 1"
    assert summary["geometries"] == "sphere 5"
    assert summary["split, seed"] == "training, 4"
    assert summary["sandpaper"] == "simulated"


def test_optical_constants_and_versions_are_told(summary):
    delta, beta = specksim.refractive_index("al2o3", 28.0)
    assert f"al2o3: δ {delta:.4e}, β {beta:.4e}" in summary["optical constants"]
    assert f"specksim {specksim.__version__}" in summary["versions"]


def test_visibility_is_that_of_the_stored_references(summary, tiny):
    with open_dataset(tiny) as dataset:
        expected = np.mean([visibility(p.reference[0], p.reference[0].mean()) for p in dataset])
    assert numbers(summary["speckle visibility"])[0] == pytest.approx(expected, abs=6e-4)


def test_displacement_is_that_of_the_labels(summary, tiny):
    with open_dataset(tiny) as dataset:
        d = np.array([np.hypot(pair.dx, pair.dy) for pair in dataset])
    share = 100 * (d > 0).mean()
    d = d[d > 0]
    expected = [np.median(d), np.percentile(d, 95), d.max(), pytest.approx(share, abs=0.5)]
    found = numbers(summary["displacement"].replace("p95", ""))
    assert found[:3] == pytest.approx(expected[:3], rel=6e-3, abs=1e-6)
    assert found[3] == expected[3]


def test_the_default_beamline_has_plausible_speckle(tmp_path):
    setup = specksim.Setup().with_values(detector__rows=96, detector__columns=96)
    specksim.generate(tmp_path / "x.h5", setup, n=3)
    with open_dataset(tmp_path / "x.h5") as dataset:
        summary = summarise(dataset)
    assert 0.15 < numbers(summary["speckle visibility"])[0] < 0.5
    assert all(2 < width < 6 for width in numbers(summary["speckle width"])[:2])
    assert 1500 < numbers(summary["reference mean"])[0] < 2500


def test_images_without_noise_are_relative(tiny_setup, tmp_path):
    setup = tiny_setup.with_values(detector__photons_per_pixel=math.inf)
    specksim.generate(tmp_path / "x.h5", setup, n=1)
    with open_dataset(tmp_path / "x.h5") as dataset:
        assert "(relative)" in summarise(dataset)["reference mean"]
