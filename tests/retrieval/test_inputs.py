"""Checks of images and the window that is chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specksim.retrieval.inputs import as_exposures, check_shift, choose_window, speckle_images


@given(st.integers(1, 50), st.integers(3, 300), st.integers(3, 300), st.sampled_from([1, 3]))
def test_chosen_windows_are_odd_and_fit(exposures, rows, columns, least):
    window = choose_window(None, exposures, (rows, columns), least)
    assert window % 2 == 1
    assert least <= window <= min(rows, columns)
    assert window <= 13
    assert choose_window(window, exposures, (rows, columns), least) == window
    assert choose_window(None, exposures + 1, (rows, columns), least) <= window


@given(st.integers(2, 40), st.integers(-3, 40))
def test_shifts_are_less_than_half_of_the_frame(side, shift):
    if shift >= 1 and 2 * shift < side:
        check_shift(shift, (side, side + 3))
    else:
        with pytest.raises(ValueError, match="max_shift must be >= 1"):
            check_shift(shift, (side, side + 3))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float64, np.float32])
def test_any_numbers_become_contiguous_exposures(kind, rng):
    image = rng.integers(1, 200, (6, 8)).astype(kind)
    for given_, shape in ((image, (1, 6, 8)), (np.stack([image, image]).swapaxes(1, 2), (2, 8, 6))):
        taken = as_exposures(given_, given_)
        for images in taken:
            assert images.shape == shape
            assert images.dtype == np.float32
            assert images.flags.c_contiguous
        assert not np.shares_memory(taken[0], given_)


def test_dead_pixels_are_found_and_filled(rng):
    reference = rng.uniform(50, 150, (2, 12, 14))
    sample = 0.5 * reference
    reference[:, 3, 4] = 0
    sample[:, 7, 8] = 0
    sample[0, 9, 9] = 0  # in one exposure alone: a count
    first, second, live = speckle_images(reference, sample, "test")
    assert np.argwhere(~live).tolist() == [[3, 4], [7, 8]]
    assert first.mean() == pytest.approx(1.0, abs=0.02)
    assert first[0, 3, 4] in (first[0, 2, 4], first[0, 4, 4], first[0, 3, 3], first[0, 3, 5])
    assert second[0, 9, 9] == 0


@pytest.mark.parametrize(("mean", "whole", "dead"), [(3, True, False), (3, False, True), (100, True, True)])
def test_zeros_among_few_counts_are_counts(mean, whole, dead, rng):
    image = rng.poisson(mean, (20, 20)) + 1.0 * (not whole) * rng.uniform(0.1, 0.2, (20, 20))
    image[5, 5] = 0
    _, _, live = speckle_images(image, image, "test")
    assert live[5, 5] != dead


def test_too_few_exposures(rng):
    image = rng.uniform(1, 2, (8, 8))
    with pytest.raises(ValueError, match="test needs at least 2 exposures, got 1"):
        speckle_images(image, image, "test", least=2)
