"""Tiles: they cover an image once, and give what one piece would."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from specksim_train.tiling import MULTIPLE, plan_spans, predict_tiled


@given(
    size=st.integers(1, 200).map(lambda n: n * MULTIPLE),
    overlap=st.integers(0, 100),
    extra=st.integers(0, 40).map(lambda n: n * MULTIPLE),
)
def test_spans_cover_the_axis_once_with_overlap(size, overlap, extra):
    reach = -(-overlap // MULTIPLE) * MULTIPLE
    tile = 2 * reach + MULTIPLE + extra
    window, spans = plan_spans(size, tile, overlap)
    assert window % MULTIPLE == 0
    assert window <= max(tile, size if size <= tile else 0)
    edges = [spans[0].first, *(span.stop for span in spans)]
    assert edges[0] == 0
    assert edges[-1] == size
    assert all(before.stop == after.first for before, after in itertools.pairwise(spans))
    for span in spans:
        assert span.start % MULTIPLE == 0
        assert 0 <= span.start <= span.first < span.stop <= span.start + window <= size
        assert span.start == 0 or span.first - span.start >= overlap
        assert span.start + window == size or span.start + window - span.stop >= overlap


def test_windows_are_no_larger_than_needed():
    assert plan_spans(2048, 1536, 336)[0] == 1360


@pytest.mark.parametrize("tile", [100, 64, 48])
def test_tile_too_small_for_its_overlap(tile):
    with pytest.raises(ValueError, match=f"tile must be a multiple of 16 and >= 80.*got {tile}"):
        plan_spans(512, tile, 30)


def blur(batch):
    """A stand-in for a network: looks 12 pixels around, and at the cell of 16 it stands in."""
    assert batch.shape[0] == 1
    assert batch.shape[1] % MULTIPLE == batch.shape[2] % MULTIPLE == 0
    smooth = ndimage.uniform_filter(batch[0], (25, 25, 1), mode="constant")
    place = np.indices(batch.shape[1:3]) % MULTIPLE
    return np.stack([smooth[..., 0] + place[0], smooth[..., 1] - place[1]], axis=-1)[np.newaxis]


@pytest.mark.parametrize("shape", [(16, 16), (100, 37), (112, 200), (129, 65)])
def test_tiles_give_what_one_piece_gives(shape):
    images = np.random.default_rng(0).random((*shape, 2), dtype=np.float32)
    whole = predict_tiled(blur, images, 1024, 12)
    assert whole.shape == (*shape, 2)
    np.testing.assert_allclose(predict_tiled(blur, images, 48, 12), whole, atol=1e-6)
    np.testing.assert_allclose(predict_tiled(blur, images, 80, 20), whole, atol=1e-6)
    if min(shape) > 48:
        assert np.abs(predict_tiled(blur, images, 48, 0) - whole).max() > 1e-3


def test_images_smaller_than_a_cell():
    with pytest.raises(ValueError, match=r"16 or more pixels along each axis, got 15 × 40"):
        predict_tiled(blur, np.zeros((15, 40, 2), np.float32), 64, 8)
