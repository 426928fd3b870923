"""specksim assess"""

import re

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import specksim


@pytest.fixture(scope="module")
def image():
    """A good pattern: visibility 0.2, about 5 px wide, 2000 photons gain 3, dark level 50."""
    rng = np.random.default_rng(1)
    noise = ndimage.gaussian_filter(rng.standard_normal((200, 220)), 1.5)
    return 50 + 3.0 * rng.poisson(2000 * (1 + 0.2 * noise / noise.std()))


def figure(out, name):
    return float(re.search(rf"^{name} +(\S+)", out, re.MULTILINE)[1])


@pytest.mark.parametrize("gain", [None, 3])
def test_a_measured_image_is_assessed(image, gain, cli, tmp_path):
    tifffile.imwrite(tmp_path / "ref.tif", image.astype(np.uint16))
    np.save(tmp_path / "dark.npy", np.full(image.shape, 50.0))
    words = ["--gain", gain] if gain else []
    done = cli("assess", tmp_path / "ref.tif", "--dark", tmp_path / "dark.npy", *words)
    assert (done.status, done.err) == (0, "")
    assert figure(done.out, "photons per pixel") == pytest.approx(2000, rel=0.1)
    assert figure(done.out, "speckle visibility") == pytest.approx(0.2, abs=0.005)
    assert figure(done.out, "speckle width") == pytest.approx(5.0, rel=0.1)
    assert "bound, 13 × 13 px" in done.out
    assert done.out.endswith("a good pattern\n")


def test_frames_of_a_stack_are_averaged(image, cli, tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([image, image[::-1]]).astype(np.uint16))
    assert figure(cli("assess", tmp_path / "stack.tif").out, "frames") == 2


def test_a_weak_pattern_gets_advice(cli, tmp_path):
    np.save(tmp_path / "weak.npy", 1000 + np.random.default_rng(0).normal(0, 5, (64, 64)))
    assert "too weak: visibility" in cli("assess", tmp_path / "weak.npy").out


def test_a_data_set_is_assessed_with_the_noise_of_its_counts(cli, tiny):
    out = cli("assess", tiny).out
    assert figure(out, "frames") == 4
    assert figure(out, "photons per pixel") == pytest.approx(figure(out, "mean"), rel=1e-3)


def test_a_data_set_without_noise_has_no_bound(cli, tmp_path):
    setup = specksim.Setup().with_values(
        detector__rows=32, detector__columns=32, diffuser__sheets=1, detector__photons_per_pixel=float("inf")
    )
    specksim.generate(tmp_path / "clean.h5", setup, n=1)
    out = cli("assess", tmp_path / "clean.h5").out
    assert "photons per pixel   inf" in out
    assert "bound, 13 × 13 px   dx 0, dy 0 px" in out


def test_images_within_a_data_set_can_be_named(cli, tiny):
    assert "power at the highest" in cli("assess", f"{tiny}::/entry/data/reference").out


@pytest.mark.parametrize("option", ["--dark", "--flat", "--gain"])
def test_corrections_do_not_go_with_a_data_set(option, cli, tiny):
    done = cli("assess", tiny, option, "2")
    assert done.status == 2
    assert "go with a measured image" in done.err


def test_a_gain_is_above_zero(cli, tiny):
    assert cli("assess", "x.tif", "--gain", "0").status == 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.tif", None, "No such file"),
        ("empty.tif", b"", "the file is empty"),
        ("text.tif", b"no image", "not a TIFF file"),
        ("text.h5", b"no data set", "name measured images as"),
        ("notes.txt", b"no image", "must be TIFF"),
    ],
)
def test_what_is_no_image_is_named(name, content, words, cli, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    error = cli("assess", tmp_path / name).error
    assert name in error
    assert words in error


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((64, 64)), "frame 0: the image's mean must be > 0"),
        (np.ones((8, 64)), "at least 16 pixels"),
        (np.full((64, 64), np.nan), "must be finite"),
    ],
)
def test_an_image_of_nothing_is_refused(values, words, cli, tmp_path):
    np.save(tmp_path / "x.npy", values)
    error = cli("assess", tmp_path / "x.npy").error
    assert "x.npy" in error
    assert words in error
