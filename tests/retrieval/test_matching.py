"""The search for the best whole-pixel shift, against the costs written out."""

import numpy as np
import pytest
from scipy import ndimage

from specksim.retrieval import matching
from specksim.retrieval.matching import match_windows
from specksim.retrieval.windows import window_taps


def pattern(rng, exposures=1, shape=(40, 44)):
    noise = ndimage.gaussian_filter(rng.normal(size=(exposures, *shape)), (0, 1.2, 1.2))
    return (1 + 0.4 * noise / noise.std()).astype(np.float32)


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-4, 4)])
def test_whole_pixel_shifts_are_found(shift, zero_mean, rng):
    large = pattern(rng, 2, (60, 64))
    uy, ux = shift
    reference = large[:, 10:50, 10:54]
    sample = 0.7 * large[:, 10 - uy : 50 - uy, 10 - ux : 54 - ux]
    found, good = match_windows(reference, sample, window_taps(9, "hamming"), 4, zero_mean=zero_mean)
    assert good[8:-8, 8:-8].all()
    inside = found[:, 8:-8, 8:-8]  # what has entered from outside of the frame has no match
    assert (np.round(inside[0]) == ux).all()
    assert (np.round(inside[1]) == uy).all()


@pytest.mark.parametrize("python", [False, True], ids=["compiled", "python"])
@pytest.mark.parametrize("zero_mean", [False, True])
def test_cost_is_that_of_the_model(zero_mean, python, rng, monkeypatch):
    """The shift found is the one with the least squared residual of the model fitted by numpy."""
    if python:
        monkeypatch.setattr(matching, "_match_strip", matching._match_strip.py_func)
    reference, sample = pattern(rng, 2, (16, 17)), pattern(rng, 2, (16, 17))  # unrelated: any shift may win
    taps = window_taps(5, "hamming")
    found, _ = match_windows(reference, sample, taps, 1, zero_mean=zero_mean)
    weight = np.sqrt(np.outer(taps, taps))
    for row, column in [(7, 8), (6, 10), (9, 6)]:
        costs = {}
        for uy in range(-2, 3):
            for ux in range(-2, 3):
                lines, right = [], []
                for k in range(2):
                    r = reference[k, row - 2 - uy : row + 3 - uy, column - 2 - ux : column + 3 - ux].astype(
                        float
                    )
                    s = sample[k, row - 2 : row + 3, column - 2 : column + 3]
                    mean = (weight**2 * r).sum()
                    terms = [weight * mean, weight * (r - mean)] if zero_mean else [weight * r]
                    lines.append(np.stack([term.ravel() for term in terms], axis=1))
                    right.append((weight * s).ravel())
                lines, right = np.concatenate(lines), np.concatenate(right)
                solution = np.linalg.lstsq(lines, right, rcond=None)[0]
                costs[uy, ux] = ((right - lines @ solution) ** 2).sum()
                if solution[-1] < 0:  # a negative visibility is no match, and worse than none
                    without = lines[:, :1] @ np.linalg.lstsq(lines[:, :1], right, rcond=None)[0]
                    costs[uy, ux] = 2 * ((right - without) ** 2).sum() - costs[uy, ux]
        uy, ux = min(costs, key=costs.__getitem__)
        assert abs(found[0, row, column] - ux) <= 0.5
        assert abs(found[1, row, column] - uy) <= 0.5


def test_beyond_the_range_is_flagged(rng):
    large = pattern(rng, 1, (60, 64))
    reference, sample = large[:, 10:50, 10:54], large[:, 10:50, 4:48]  # moved by 6 px
    _, good = match_windows(reference, sample, window_taps(9, "hamming"), 2, zero_mean=True)
    _, better = match_windows(reference, sample, window_taps(9, "hamming"), 6, zero_mean=True)
    assert good[8:-8, 12:-12].mean() < 0.7
    assert better[8:-8, 12:-12].all()


def test_incomplete_windows_are_flagged(rng):
    reference = pattern(rng)
    _, good = match_windows(reference, reference, window_taps(9, "hamming"), 2, zero_mean=False)
    assert good[4:-4, 4:-4].all()
    good[4:-4, 4:-4] = False
    assert not good.any()


def test_threads_make_no_difference(rng):
    reference, sample = pattern(rng), pattern(rng)
    one = match_windows(reference, sample, window_taps(5, "boxcar"), 3, zero_mean=True)
    many = match_windows(reference, sample, window_taps(5, "boxcar"), 3, zero_mean=True, workers=4)
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_array_equal(one[1], many[1])


@pytest.mark.parametrize("kernel", [matching._vertex, matching._vertex.py_func])
@pytest.mark.parametrize(
    ("values", "expected"),
    [((1, 2, 1), 0.0), ((-2.25, -0.25, -0.25), 0.5), ((1, 1, 1), 0.0), ((0, 1, 1), 0.5)],
)
def test_vertex_of_a_parabola(kernel, values, expected):
    assert kernel(*values) == pytest.approx(expected)
