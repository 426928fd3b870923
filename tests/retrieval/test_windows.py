"""The windowed fit against least squares written out, pixel by pixel."""

import numpy as np
import pytest
from scipy import ndimage

from specksim.retrieval import windows
from specksim.retrieval.splines import spline_at, spline_coefficients
from specksim.retrieval.windows import (
    ERROR_X,
    ERROR_Y,
    GAIN,
    MEAN,
    SOLVED,
    fit_windows,
    in_strips,
    window_taps,
)


def images(rng, exposures=2, shape=(15, 17)):
    reference = 1 + 0.4 * ndimage.gaussian_filter(rng.normal(size=(exposures, *shape)), (0, 1.2, 1.2)) / 0.24
    reference = reference.astype(np.float32)
    sample = 0.8 * ndimage.shift(reference, (0, 0.2, -0.3), order=3, mode="mirror")
    sample += rng.normal(scale=0.02, size=sample.shape)
    return reference, sample.astype(np.float32)


def written_out(reference, sample, live, start, taps, zero_mean, follow, row, column):
    """Solution of one window by numpy's lstsq."""
    coefficients = spline_coefficients(reference)
    half = len(taps) // 2
    exposures, height, width = sample.shape
    lines, right, weights = [], [], []
    for k in range(exposures):
        for i in range(max(row - half, 0), min(row + half + 1, height)):
            for j in range(max(column - half, 0), min(column + half + 1, width)):
                ux, uy = start[:, i, j]
                y, x = i - uy, j - ux
                there = live[i, j] and 0 <= y <= height - 1 and 0 <= x <= width - 1
                if not (there and live[int(y + 0.5), int(x + 0.5)]):
                    continue
                value, gy, gx = spline_at(coefficients[k], i, j, -uy, -ux)
                q = value if follow else value + ux * gx + uy * gy
                means = [float(k == m) for m in range(exposures)] if zero_mean else []
                lines.append([q, -gx, -gy, *means])
                right.append(sample[k, i, j])
                weights.append(taps[i - row + half] * taps[j - column + half])
    lines, right, weights = np.array(lines), np.array(right), np.array(weights)
    root = np.sqrt(weights)
    solution = np.linalg.lstsq(root[:, None] * lines, root * right, rcond=None)[0]
    ux, uy = solution[1:3] / solution[0] + follow * start[:, row, column]
    return ux, uy, solution[0]


@pytest.mark.parametrize("python", [False, True], ids=["compiled", "python"])
@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize(("kind", "follow"), [("hamming", False), ("boxcar", False), ("hamming", True)])
def test_fit_is_the_least_squares_solution(kind, follow, zero_mean, python, rng, monkeypatch):
    if python:
        monkeypatch.setattr(windows, "_fit_strip", windows._fit_strip.py_func)
    reference, sample = images(rng)
    live = np.ones(reference.shape[1:], bool)
    live[6, 6] = False
    start = rng.normal(scale=0.1, size=(2, *live.shape)).astype(np.float32)
    taps = window_taps(7, kind)
    found = fit_windows(
        spline_coefficients(reference), sample, live, start, taps, zero_mean=zero_mean, follow=follow
    )
    for row, column in [(7, 8), (5, 5), (0, 0), (14, 10)]:
        ux, uy, gain = written_out(reference, sample, live, start, taps, zero_mean, follow, row, column)
        assert found[SOLVED, row, column] == 1
        np.testing.assert_allclose(found[:2, row, column], (ux, uy), atol=2e-4)
        assert found[GAIN, row, column] == pytest.approx(gain, abs=2e-4)
    if not zero_mean:
        np.testing.assert_array_equal(found[MEAN], found[GAIN])


@pytest.mark.parametrize("zero_mean", [False, True])
def test_the_result_hardly_depends_on_the_start(zero_mean, rng):
    """A start that is wrong by 0.1 px from pixel to pixel is wrong by less than 0.01 px after one fit."""
    reference, sample = images(rng, 1, (40, 40))
    live = np.ones(reference.shape[1:], bool)
    taps = window_taps(11, "hamming")
    coefficients = spline_coefficients(reference)
    start = np.zeros((2, 40, 40), np.float32)
    start[0], start[1] = -0.3, 0.2
    once = fit_windows(coefficients, sample, live, start, taps, zero_mean=zero_mean)
    off = start + rng.normal(scale=0.1, size=start.shape).astype(np.float32)
    other = fit_windows(coefficients, sample, live, off, taps, zero_mean=zero_mean)
    assert np.abs(once[:2] - other[:2]).mean() < 0.01
    assert np.sqrt(np.mean((once[0, 8:-8, 8:-8] + 0.3) ** 2)) < 0.02


def test_errors_are_those_of_noise(rng):
    """Spread of the result over draws of the noise, against the standard error given."""
    reference, _ = images(rng, 1, (48, 48))
    live = np.ones(reference.shape[1:], bool)
    taps, start = window_taps(9, "hamming"), np.zeros((2, 48, 48), np.float32)
    coefficients = spline_coefficients(reference)
    runs = []
    for _ in range(40):
        noisy = (0.7 * reference + rng.normal(scale=0.05, size=reference.shape)).astype(np.float32)
        runs.append(fit_windows(coefficients, noisy, live, start, taps, zero_mean=False))
    runs = np.array(runs)
    for layer, error in ((0, ERROR_X), (1, ERROR_Y)):
        inner = (slice(None), slice(8, -8), slice(8, -8))
        ratio = np.median(
            runs[:, layer].std(axis=0, ddof=1)[inner[1:]] / runs[:, error].mean(axis=0)[inner[1:]]
        )
        assert ratio == pytest.approx(1.0, abs=0.15)  # its weights count once, not squared


def test_what_cannot_be_solved_keeps_its_start():
    sample = np.ones((1, 12, 24), np.float32)
    sample[..., 18:] = np.random.default_rng(0).uniform(0.5, 1.5, (12, 6))
    start = np.full((2, 12, 24), 0.25, np.float32)
    live = np.ones((12, 24), bool)
    live[:, :2] = False
    found = fit_windows(
        spline_coefficients(sample), sample, live, start, window_taps(3, "boxcar"), zero_mean=False
    )
    assert (found[SOLVED, :, :8] == 0).all()
    np.testing.assert_array_equal(found[:2, :, :8], 0.25)
    assert found[SOLVED, 3:-3, 20:-1].all()
    assert np.isfinite(found).all()


def test_speckle_along_one_axis_alone_is_not_solved():
    stripes = np.tile(1 + 0.3 * np.sin(np.arange(20.0)), (20, 1)).astype(np.float32)[None]
    found = fit_windows(
        spline_coefficients(stripes), stripes, np.ones((20, 20), bool), np.zeros((2, 20, 20), np.float32),
        window_taps(7, "hamming"), zero_mean=False,
    )  # fmt: skip
    assert (found[SOLVED] == 0).all()


def test_threads_and_strips_make_no_difference(rng):
    reference, sample = images(rng, 1, (150, 20))
    live, start = np.ones((150, 20), bool), np.zeros((2, 150, 20), np.float32)
    arguments = (spline_coefficients(reference), sample, live, start, window_taps(5, "hamming"))
    one = fit_windows(*arguments, zero_mean=True)
    np.testing.assert_array_equal(one, fit_windows(*arguments, zero_mean=True, workers=3))
    cut = tuple(part[..., :70, :] for part in (reference, sample, live, start))
    part = fit_windows(spline_coefficients(cut[0]), *cut[1:], arguments[-1], zero_mean=True)
    np.testing.assert_allclose(part[:, :60], one[:, :60], atol=1e-4)


def test_strips_make_up_the_frame():
    seen = []
    in_strips(lambda first, last: seen.append((first, last)), 70, 1, 32)
    assert seen == [(0, 32), (32, 64), (64, 70)]

    def fails(first, last):
        raise ValueError(f"strip {first}")

    with pytest.raises(ValueError, match="strip"):
        in_strips(fails, 70, 2, 32)


@pytest.mark.parametrize("kernel", [windows.smooth, windows.smooth.py_func], ids=["compiled", "python"])
def test_smooth_is_scipys_correlation(kernel, rng):
    values = rng.normal(size=(12, 15)).astype(np.float32)
    taps = window_taps(5, "hamming")
    found = np.empty((8, 11), np.float32)
    kernel(values, taps, np.empty(15, np.float32), found)
    expected = ndimage.correlate(values, np.outer(taps, taps))[2:-2, 2:-2]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_windows_of_sum_one():
    assert window_taps(1, "hamming").tolist() == [1.0]
    np.testing.assert_allclose(window_taps(5, "boxcar"), 0.2)
    taps = window_taps(13, "hamming")
    assert taps.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(taps / taps[6], np.hamming(13), atol=1e-6)
