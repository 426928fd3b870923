"""Metrics on constructed errors; percentiles against NumPy's; intervals by their coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from specksim.benchmark.metrics import (
    DISPLACEMENT_CLASSES,
    METRICS,
    TALLY_SIZE,
    bootstrap,
    differ,
    displacement_classes,
    estimate,
    evaluate,
    tally,
)

OF_PIXELS = [
    *("epe_mean", "epe_median", "epe_p95", "epe_p99"),
    *("rmse_dx", "rmse_dy", "bias_dx", "bias_dy", "r2"),
]
OF_PAIRS = [
    *("phase_rmse", "period_90_px", "slope", "noise_px", "indicator", "edge_width_px"),
    *("diameter_error", "delta_error", "seconds", "peak_mb"),
]


RNG = np.random.default_rng(0)


def everywhere(error, truth=None):
    return tally(error, np.ones_like(error) if truth is None else truth, np.ones(error.shape[:-1], bool))


def noisy(rng, pairs, spread=0.1, side=16):
    return np.stack([everywhere(spread * rng.standard_normal((side, side, 2))) for _ in range(pairs)])


def test_metrics_of_a_constructed_error():
    error = np.zeros((2, 2, 2))
    error[..., 0] = [[3, 0], [0, 0]]
    error[..., 1] = [[4, 0], [0, -2]]
    truth = np.full((2, 2, 2), 2.0)
    found = evaluate(everywhere(error, truth))
    assert list(found) == OF_PIXELS
    assert found["epe_mean"] == pytest.approx(7 / 4)
    assert found["epe_median"] == pytest.approx(1.0, rel=0.005)
    assert found["epe_p95"] == pytest.approx(np.percentile([5, 0, 0, 2], 95), rel=0.005)
    assert found["epe_p99"] == pytest.approx(np.percentile([5, 0, 0, 2], 99), rel=0.005)
    assert (found["rmse_dx"], found["rmse_dy"]) == pytest.approx((1.5, math.sqrt(5)))
    assert (found["bias_dx"], found["bias_dy"]) == pytest.approx((0.75, 0.5))
    assert found["r2"] == pytest.approx(1 - 29 / 32)


def test_all_metrics_are_described_in_the_order_of_the_report():
    assert list(METRICS) == OF_PIXELS + OF_PAIRS
    assert [name for name, metric in METRICS.items() if metric.best == 1] == ["r2", "slope"]
    assert all(metric.meaning for metric in METRICS.values())


def test_only_pixels_that_count_are_looked_at():
    error = np.full((4, 5, 2), np.nan, np.float32)
    error[1, 2] = 0.3, 0.4
    where = np.zeros((4, 5), bool)
    where[1, 2] = True
    found = evaluate(tally(error, np.full_like(error, np.nan), np.zeros((4, 5), bool)))
    assert all(math.isnan(value) for value in found.values())
    assert evaluate(tally(error, np.ones_like(error), where))["epe_mean"] == pytest.approx(0.5)


def test_a_perfect_and_a_motionless_prediction():
    still = np.zeros((3, 3, 2))
    assert evaluate(everywhere(still))["r2"] == 1.0
    assert evaluate(everywhere(-np.ones((3, 3, 2))))["r2"] == 0.0
    nothing_moves = evaluate(everywhere(still, still))
    assert math.isnan(nothing_moves.pop("r2"))
    assert set(nothing_moves.values()) == {0.0}


def test_added_tallies_are_pooled_pixels():
    rng = np.random.default_rng(1)
    error, truth = rng.standard_normal((2, 10, 8, 2))
    where = rng.random((10, 8)) < 0.7
    halves = tally(error[:4], truth[:4], where[:4]) + tally(error[4:], truth[4:], where[4:])
    assert evaluate(halves) == pytest.approx(evaluate(tally(error, truth, where)), rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    arrays(
        np.float64,
        st.integers(1, 60),
        elements=st.one_of(
            st.just(0.0), st.floats(1e-8, 9e3), st.floats(-8, 3.9).map(lambda power: 10.0**power)
        ),
    )
)
def test_percentiles_are_those_of_numpy_within_half_a_per_cent(lengths):
    found = evaluate(everywhere(np.stack([lengths, np.zeros_like(lengths)], axis=-1)))
    for name, share in (("epe_median", 50), ("epe_p95", 95), ("epe_p99", 99)):
        assert found[name] == pytest.approx(np.percentile(lengths, share), rel=0.00501, abs=1e-300)


def test_percentiles_of_many_pixels_are_ten_times_better():
    rng = np.random.default_rng(0)
    error = 0.03 * rng.standard_normal((200, 200, 2))
    found = evaluate(everywhere(error))
    exact = np.percentile(np.hypot(*error.reshape(-1, 2).T), [50, 95, 99])
    assert [found[name] for name in ("epe_median", "epe_p95", "epe_p99")] == pytest.approx(exact, rel=5e-4)


def test_what_the_histogram_does_not_reach():
    tiny, huge = np.full((3, 3, 2), 1e-12), np.full((3, 3, 2), 1e5)
    assert evaluate(everywhere(tiny))["epe_p95"] == 0.0
    assert evaluate(everywhere(huge))["epe_median"] == math.inf
    assert evaluate(everywhere(huge))["epe_mean"] == pytest.approx(1e5 * math.sqrt(2))


def test_classes_of_displacement_part_all_pixels():
    length = np.array([0.0, 1e-6, 0.0999, 0.1, 0.5, 1.0, 1.0001, 30.0])
    classes = displacement_classes(np.stack([np.zeros(8), -length], axis=-1))
    assert tuple(classes) == DISPLACEMENT_CLASSES
    assert [np.flatnonzero(mask).tolist() for mask in classes.values()] == [[0], [1, 2], [3, 4, 5], [6, 7]]


def test_bootstrap_of_draws_by_hand():
    """The intervals against draws that are pooled one by one."""
    rng = np.random.default_rng(3)
    spreads = 0.02 * np.exp(rng.standard_normal(8))
    tallies = np.concatenate([noisy(rng, 1, spread) for spread in spreads])
    found = bootstrap(tallies, np.random.default_rng(5), draws=300)
    times = np.random.default_rng(5).multinomial(8, np.full(8, 1 / 8), size=300)
    draws = [evaluate(count @ tallies) for count in times]
    for name in OF_PIXELS:
        values = np.sort([draw[name] for draw in draws])
        assert found[name] == pytest.approx((values[7], values[292]), rel=1e-9)
    assert found["epe_median"][0] < evaluate(tallies.sum(axis=0))["epe_median"] < found["epe_median"][1]


def test_bootstrap_repeats_with_its_seed_and_knows_no_single_pair():
    tallies = noisy(np.random.default_rng(0), 5)
    first, second = (bootstrap(tallies, np.random.default_rng(9), draws=50) for _ in range(2))
    assert first == second
    for few in (tallies[:1], tallies[:0]):
        found = bootstrap(few, np.random.default_rng(9))
        assert list(found) == OF_PIXELS
        assert np.isnan(list(found.values())).all()


def test_an_interval_without_a_value_is_nan():
    still = np.zeros((4, 4, 2))
    tallies = np.stack([everywhere(still + 0.1, still)] * 3)
    found = bootstrap(tallies, np.random.default_rng(0))
    assert np.isnan(found["r2"]).all()
    assert found["epe_mean"] == pytest.approx((0.1 * math.sqrt(2),) * 2)


def test_infinite_percentiles_have_intervals():
    tallies = np.stack([everywhere(np.full((3, 3, 2), 1e5))] * 4)
    assert bootstrap(tallies, np.random.default_rng(0))["epe_p95"] == (math.inf, math.inf)


def paired(rng, pairs, factor):
    """Two methods on pairs of very different difficulty; the second's errors are larger by a factor."""
    spreads = np.exp(rng.standard_normal(pairs))
    errors = [spread * rng.standard_normal((8, 8, 2)) for spread in spreads]
    other = [spread * rng.standard_normal((8, 8, 2)) for spread in spreads]
    return np.stack([everywhere(error) for error in errors]), np.stack(
        [everywhere(factor * error) for error in other]
    )


def test_a_paired_difference_is_seen_behind_pairs_of_any_difficulty():
    a, b = paired(np.random.default_rng(0), 20, 1.3)
    intervals = [bootstrap(tallies, np.random.default_rng(1))["epe_mean"] for tallies in (a, b)]
    assert intervals[0][1] > intervals[1][0], "the methods' own intervals overlap"
    assert differ(a, b, "epe_mean", np.random.default_rng(1)) is True
    assert differ(b, a, "epe_mean", np.random.default_rng(1)) is True


def test_equal_methods_are_rarely_called_different():
    rng = np.random.default_rng(0)
    called = sum(differ(*paired(rng, 20, 1.0), "epe_mean", rng, 200) for _ in range(200))
    assert called <= 30  # 7 % are expected with 20 pairs


def test_a_method_does_not_differ_from_itself_and_few_pairs_tell_nothing():
    rng = np.random.default_rng(0)
    tallies = noisy(rng, 8)
    assert differ(tallies, tallies, "epe_p95", rng) is False
    worse = noisy(rng, 8, 1.0)
    assert differ(tallies, worse, "epe_p95", rng) is True
    assert differ(tallies[:5], worse[:5], "epe_p95", rng) is False
    assert differ(tallies[:0], worse[:0], "epe_p95", rng) is False


def test_differ_without_a_value_is_false():
    rng = np.random.default_rng(0)
    still = np.zeros((4, 4, 2))
    a, b = (np.stack([everywhere(still + error, still)] * 8) for error in (0.1, 0.2))
    assert differ(a, b, "r2", rng) is False
    assert differ(a, b, "epe_mean", rng) is True


def test_biases_are_compared_without_their_sign():
    rng = np.random.default_rng(0)
    a, b = noisy(rng, 8, 1e-3), noisy(rng, 8, 1e-3)
    left, right = (np.stack([everywhere(np.full((4, 4, 2), sign * 0.1))] * 8) for sign in (-1, 1))
    assert differ(left, right, "bias_dx", rng) is False
    assert differ(left, a, "bias_dx", rng) is True
    assert differ(b, right, "bias_dy", rng) is True


def test_the_interval_of_a_mean():
    values = np.array([1.0, 2.0, 3.0, 6.0])
    mean, low, high = estimate((values,), np.random.default_rng(0))
    assert mean == 3.0
    assert 1.0 <= low < 2.0
    assert 4.0 < high <= 6.0
    assert estimate((np.full(5, 2.0),), np.random.default_rng(0)) == (2.0, 2.0, 2.0)


def test_the_interval_of_a_product_of_means_and_of_a_median():
    rng, draws = np.random.default_rng(0), np.random.default_rng(1)
    few, many = 5 + rng.standard_normal(8), 2 + 0.1 * rng.standard_normal(400)
    value, low, high = estimate((few, many), draws, lambda a, b, axis: a.mean(axis) * b.mean(axis))
    assert value == pytest.approx(few.mean() * many.mean())
    expected = 2 * 1.96 * few.std() / math.sqrt(8) * many.mean()  # what the many add is nothing
    assert high - low == pytest.approx(expected, rel=0.1)
    assert low < value < high
    assert np.isnan(estimate((few, many[:1]), draws, lambda a, b, axis: a.sum(axis) + b.sum(axis))[1:]).all()
    assert estimate((np.array([1.0, 2.0, 90.0]),), draws, np.median)[0] == 2.0


def test_the_interval_of_a_mean_holds_the_truth_as_often_as_its_docstring_says():
    rng = np.random.default_rng(0)
    for pairs, share in ((5, 0.83), (10, 0.90), (20, 0.93)):
        hits = 0
        for _ in range(1000):
            _, low, high = estimate((rng.standard_normal(pairs),), rng, draws=200)
            hits += low <= 0 <= high
        assert hits / 1000 == pytest.approx(share, abs=0.035)


def test_means_of_one_none_nan_and_infinite():
    rng = np.random.default_rng(0)
    mean, low, high = estimate((np.array([4.0]),), rng)
    assert mean == 4.0
    assert math.isnan(low)
    assert math.isnan(high)
    assert np.isnan(estimate((np.array([]),), rng)).all()
    assert np.isnan(estimate((np.array([1.0, np.nan]),), rng)).all()
    mean, low, high = estimate((np.array([10.0, 11.0, np.inf]),), rng)
    assert (mean, high) == (math.inf, math.inf)
    assert 10.0 <= low <= 11.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tally(np.zeros((3, 3)), np.zeros((3, 3)), np.ones((3,), bool)), "one shape that ends in 2"),
        (lambda: tally(np.zeros((3, 2)), np.zeros((4, 2)), np.ones(3, bool)), r"\(4, 2\)"),
        (lambda: tally(np.zeros((3, 2)), np.zeros((3, 2)), np.ones(4, bool)), r"\(4,\)"),
        (lambda: tally(np.zeros((3, 2)), np.zeros((3, 2)), np.ones(3)), "bool, got float64"),
        (lambda: tally(np.full((3, 2), np.nan), np.zeros((3, 2)), np.ones(3, bool)), r"error .* 6 others"),
        (lambda: tally(np.zeros((3, 2)), np.full((3, 2), np.inf), np.ones(3, bool)), "truth must be finite"),
        (lambda: evaluate(np.zeros(5)), r"shape \(\d+,\), got \(5,\)"),
        (lambda: bootstrap(np.zeros((2, 5)), RNG), r"tallies must .* got \(2, 5\)"),
        (lambda: bootstrap(np.zeros((2, TALLY_SIZE)), RNG, 0), "draws must be >= 1, got 0"),
        (lambda: estimate((np.zeros((2, 2)),), RNG), r"samples 1-D, got 1000 and shapes \[\(2, 2\)\]"),
        (lambda: estimate((np.zeros(2),), RNG, draws=-1), "draws must be >= 1 .* got -1"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_differ_refuses():
    rng, few, many = np.random.default_rng(0), np.zeros((2, TALLY_SIZE)), np.zeros((3, TALLY_SIZE))
    with pytest.raises(ValueError, match="same pairs, got 2 and 3"):
        differ(few, many, "epe_mean", rng)
    with pytest.raises(ValueError, match=r"one of epe_mean, .* got 'phase_rmse'"):
        differ(few, few, "phase_rmse", rng)
    with pytest.raises(ValueError, match="tallies_b must have shape"):
        differ(few, np.zeros((2, 4)), "epe_mean", rng)
    with pytest.raises(ValueError, match="draws"):
        differ(few, few, "epe_mean", rng, draws=0)
