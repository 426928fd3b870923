"""Pictures: written as PNG, of a readable size, and nothing left open."""

import dataclasses

import numpy as np
import pytest
from matplotlib import image
from matplotlib import pyplot as plt

import specksim
from specksim.figures import contact_sheet, fidelity, preview


@pytest.fixture(scope="module")
def setup() -> specksim.Setup:
    return specksim.Setup().with_values(detector__rows=32, detector__columns=48, diffuser__sheets=1)


@pytest.fixture(scope="module")
def pair(setup) -> specksim.SpecklePair:
    return specksim.simulate(setup, material="nylon", geometry="fiber", seed=1)


def test_a_preview_is_a_png_wide_enough_to_read(pair, setup, tmp_path):
    preview(pair, setup, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = image.imread(tmp_path / "p.png")
    assert picture.shape[1] > 1000
    assert picture.std() > 0.1


def test_a_contact_sheet_has_a_column_for_each_pair(pair, setup, tmp_path):
    contact_sheet([pair], setup, tmp_path / "one.png")
    contact_sheet([pair, pair, pair], setup, tmp_path / "three.png")
    one, three = (image.imread(tmp_path / name) for name in ("one.png", "three.png"))
    assert three.shape[1] > 2 * one.shape[1]
    assert one.std() > 0.1
    contact_sheet([dataclasses.replace(pair, phase=2 * pair.phase - 1)], setup, tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()
    assert plt.get_fignums() == []


def test_it_is_a_png_whatever_the_name(pair, setup, tmp_path):
    preview(pair, setup, str(tmp_path / "picture"))
    assert (tmp_path / "picture").read_bytes()[:4] == b"\x89PNG"
    assert plt.get_fignums() == []


def test_a_failure_leaves_no_figure_open(pair, setup, tmp_path):
    with pytest.raises(FileNotFoundError):
        preview(pair, setup, tmp_path / "none" / "p.png")
    assert plt.get_fignums() == []


def test_the_picture_follows_the_data(pair, setup, tmp_path):
    preview(pair, setup, tmp_path / "a.png")
    preview(dataclasses.replace(pair, dx=-pair.dx), setup, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_pair_without_object_or_noise_can_be_drawn(pair, setup, tmp_path):
    zero = np.zeros_like(pair.dx)
    flat = dataclasses.replace(
        pair,
        reference=pair.reference.astype(np.float32),
        dx=zero,
        dy=zero,
        phase=zero,
        transmission=zero + 1,
        valid=np.ones_like(pair.valid),
    )
    preview(flat, setup, tmp_path / "p.png")
    assert image.imread(tmp_path / "p.png").shape[1] > 1000


def test_rays_and_waves_are_drawn_side_by_side(pair, setup, tmp_path):
    other = dataclasses.replace(pair, sample=pair.sample[:, ::-1])
    fidelity(pair, other, pair.valid == 1, setup, tmp_path / "p.png")
    picture = image.imread(tmp_path / "p.png")
    assert picture.shape[1] > 1000
    assert picture.std() > 0.1
