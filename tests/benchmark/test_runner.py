"""A benchmark from its arguments to its results, with methods whose errors are known."""

import json
import math
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

import specksim
from specksim.benchmark import cells, runner
from specksim.benchmark.arguments import Benchmark
from specksim.benchmark.collecting import model_hash
from specksim.benchmark.memory import peak_megabytes
from specksim.benchmark.methods import Entrant
from specksim.benchmark.pairs import Source
from specksim.benchmark.results import differences, read_results
from specksim.benchmark.runner import run_benchmark, stored_benchmark
from specksim.retrieval import Retrieval, registry
from specksim.retrieval.registry import Method

SETUP = specksim.Setup().with_values(detector__rows=32, detector__columns=32, diffuser__sheets=1)
PAIRS, EXPOSURES = 6, 2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six pairs of two exposures, spheres and fibres."""
    path = tmp_path_factory.mktemp("data") / "six.h5"
    options = {"geometries": ("sphere", "fiber"), "material": "mixed", "split": "evaluation"}
    return specksim.generate(path, SETUP, n=PAIRS, steps=EXPOSURES, seed=1, **options)


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    path = tmp_path_factory.mktemp("validation") / "other.h5"
    return specksim.generate(path, SETUP, n=3, steps=EXPOSURES, seed=1, split="validation")


def dark_corner(image):
    return image[..., :8, :8].mean() < image.mean()


class Calls:
    """Methods of known errors, and how often they were called."""

    def __init__(self, *files):
        self.number = 0
        self.stop_after = math.inf
        self.truth = {}
        for file in files:
            with specksim.open_dataset(file) as dataset:
                for pair in dataset:
                    self.truth[pair.sample[0].tobytes()] = (pair.dx, pair.dy)

    def result(self, sample, error):
        self.number += 1
        if self.number > self.stop_after:
            raise KeyboardInterrupt
        first = sample if sample.ndim == 2 else sample[0]
        zero = np.zeros(first.shape, np.float32)
        dx, dy = self.truth.get(first.tobytes(), (zero, zero))
        return Retrieval(dx + np.float32(error), dy, zero, method="known")

    def still(self, reference, sample, *, setup=None):
        """Nothing has moved."""
        self.number += 1
        zero = np.zeros(reference.shape[-2:])
        return Retrieval(zero, zero, zero, method="still")

    def windowed(self, reference, sample, *, setup=None, window=5, max_shift=1):
        """Errs least at a window of 13 pixels, and half as much with two exposures."""
        exposures = 1 if sample.ndim == 2 else len(sample)
        return self.result(sample, 0.01 * (1 + abs(window - 13)) / exposures)

    def choosy(self, reference, sample, *, setup=None):
        """Fails where the sandpaper is dark in the corner."""
        if dark_corner(reference):
            raise RuntimeError("the corner\nis dark")
        return self.result(sample, 0.001)


@pytest.fixture
def known(data, validation, monkeypatch):
    calls = Calls(data, validation)
    for name in ("still", "windowed", "choosy"):
        monkeypatch.setitem(registry._BUILT_IN, name, Method(name, getattr(calls, name)))
    monkeypatch.setattr(cells, "peak_megabytes", lambda *_: 100.0)
    monkeypatch.setattr(cells, "_DRAWS", 50)
    return calls


def asked(data, validation, *methods, **more):
    return Benchmark((str(data),), methods, validation=str(validation), **more)


def found(results, method, metric, *, exposures=1, group="all", pixels="all"):
    (figure,) = (f for f in results.figures if f.key == ("six", method, exposures, group, pixels, metric))
    return figure


def test_figures_of_known_methods(known, data, validation, tmp_path):
    results = run_benchmark(asked(data, validation, "still", "windowed"), tmp_path / "out", command="so")
    with specksim.open_dataset(data) as dataset:
        lengths = np.array([np.hypot(pair.dx, pair.dy) for pair in dataset])
        content = dataset.provenance()["content_hash"]
    error = found(results, "still", "epe_mean")
    assert error.value == pytest.approx(lengths.mean(), rel=1e-6)
    assert error.low < error.value < error.high
    assert error.pairs == PAIRS
    assert found(results, "still", "r2").value == pytest.approx(0, abs=1e-12)
    assert found(results, "windowed", "epe_mean").value == pytest.approx(0.01, rel=1e-5)
    assert found(results, "windowed", "epe_mean", exposures=2).value == pytest.approx(0.005, rel=1e-5)
    assert found(results, "windowed", "bias_dx", group="geometry fiber", pixels="valid").pairs == 3
    assert found(results, "windowed", "epe_mean", group="zero motion, identical").value == pytest.approx(0.01)
    assert found(results, "windowed", "epe_mean", group="|d| = 0").value == pytest.approx(0.01)
    assert found(results, "windowed", "phase_rmse", pixels="").value > 0
    assert found(results, "windowed", "seconds", pixels="").value > 0
    assert found(results, "windowed", "peak_mb", pixels="").value == 100
    (entry,) = results.data
    assert (entry.name, entry.content_hash, entry.pairs, entry.steps) == ("six", content, PAIRS, EXPOSURES)
    assert 0 < entry.bound_px < 1
    assert (results.command, results.complete) == ("so", True)
    # a method that finds nothing shows no body to be measured
    assert {failure.method for failure in results.failures} == {"still"}
    assert all("shows none" in failure.message for failure in results.failures)
    assert [method.single_pair for method in results.methods] == [False, False]
    assert read_results(tmp_path / "out").to_json() == results.to_json()


def test_the_best_window_is_found_and_the_search_is_kept(known, data, validation, tmp_path):
    methods = ("windowed", "windowed@window=9", "windowed@window=9,max_shift=5")
    results = run_benchmark(asked(data, validation, *methods, exposures=(1,)), tmp_path)
    best, fixed, all_fixed = results.settings
    with specksim.open_dataset(validation) as dataset:
        largest = max(np.abs([pair.dx, pair.dy]).max() for pair in dataset)
    assert best.options["window"] == best.valid_options["window"] == 13
    assert best.chosen_on == "other, 3 pairs"
    start = min(4, math.ceil(largest) + 1)
    assert best.tried[f"window 13, max_shift {start}"]["all"] == pytest.approx(0.01, rel=1e-5)
    assert best.tried[f"window 11, max_shift {start}"]["valid"] == pytest.approx(0.03, rel=1e-5)
    assert fixed.options["window"] == 9
    assert (all_fixed.options, all_fixed.chosen_on) == ({"window": 9, "max_shift": 5}, "")


def test_failures_are_kept_and_the_rest_is_measured(known, data, validation, tmp_path):
    with specksim.open_dataset(data) as dataset:
        dark = [row for row, pair in enumerate(dataset) if dark_corner(pair.reference[0])]
    assert 0 < len(dark) < PAIRS
    results = run_benchmark(asked(data, validation, "choosy", exposures=(1,)), tmp_path)
    assert [failure.pair for failure in results.failures] == dark
    assert {failure.message for failure in results.failures} == {"the corner is dark"}
    assert found(results, "choosy", "epe_mean").pairs == PAIRS - len(dark)


def test_what_fails_without_motion_is_measured_all_the_same(known, data, validation, tmp_path, monkeypatch):
    def moving(reference, sample, *, setup=None):
        if (reference == sample).all():
            raise ValueError("nothing moves")
        return known.result(sample, 0.001)

    monkeypatch.setitem(registry._BUILT_IN, "moving", Method("moving", moving))
    results = run_benchmark(asked(data, validation, "moving", exposures=(1,)), tmp_path)
    assert found(results, "moving", "epe_mean").pairs == PAIRS
    assert {failure.message for failure in results.failures} == {"zero motion, identical: nothing moves"}
    groups = {figure.group for figure in results.figures}
    assert "zero motion, two exposures" in groups
    assert "zero motion, identical" not in groups


def test_a_method_that_always_fails_has_failures_alone(known, data, validation, tmp_path):
    said = []
    question = asked(data, validation, "mist@window=99", exposures=(2,))
    results = run_benchmark(question, tmp_path, say=said.append)
    assert said[-1].startswith(
        "cell 1 of 1: six, mist@window=99, 2 exposures; failed on every pair: window must not"
    )
    assert len(results.failures) == PAIRS
    assert results.figures == []
    assert "window must not exceed the frame" in results.failures[0].message


def test_too_few_exposures_are_not_tried_with_every_window(known, data, validation, tmp_path):
    results = run_benchmark(asked(data, validation, "mist", exposures=(1,)), tmp_path)
    assert [(one.tried, one.chosen_on) for one in results.settings] == [({}, "")]
    assert len(results.failures) == PAIRS


def test_what_is_to_be_done_is_said_and_how_long_it_takes(known, tmp_path):
    said = []
    question = Benchmark((), ("windowed",), conditions=("resolution",), pairs=1, setup=SETUP.to_toml())
    run_benchmark(question, tmp_path, say=said.append)
    assert said[0] == "3 data sets, 3 of them to be simulated; 3 cells: data × method × exposures"
    assert said[1].startswith("data set 1 of 3: resolution-star; about 0:")
    assert said[4] == "3 cells to do, 0 are done"
    assert said[5].startswith("cell 1 of 3: resolution-star, windowed, 1 exposure; about 0:")
    assert said[7] == "cell 3 of 3: resolution-edge, windowed, 1 exposure; about 0:00:00 left"
    run_benchmark(question, tmp_path, resume=True, say=said.append)
    assert said[-1] == "0 cells to do, 3 are done"


def test_methods_differ_only_where_they_do(known, data, validation, tmp_path):
    results = run_benchmark(asked(data, validation, "still", "windowed", "windowed@window=13"), tmp_path)
    different = {
        (c.a, c.b): c.different
        for c in results.comparisons
        if c.exposures_a == c.exposures_b == 1 and c.pixels == "all"
    }
    assert different == {
        ("still", "windowed"): True,
        ("still", "windowed@window=13"): True,
        ("windowed", "windowed@window=13"): False,
    }
    assert any((c.exposures_a, c.exposures_b) == (1, 2) for c in results.comparisons)


def test_an_interrupted_run_goes_on(known, data, validation, tmp_path):
    question = asked(data, validation, "windowed")
    whole = run_benchmark(question, tmp_path / "whole")
    calls = known.number
    known.number, known.stop_after = 0, calls - 10  # in the cell of two exposures
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(question, tmp_path / "cut")
    part = read_results(tmp_path / "cut")
    assert not part.complete
    assert {figure.exposures for figure in part.figures} == {1}
    with pytest.raises(ValueError, match="interrupted: go on with it by --resume"):
        stored_benchmark(tmp_path / "cut")
    with pytest.raises(FileExistsError, match="--resume goes on, --overwrite starts anew"):
        run_benchmark(question, tmp_path / "cut")
    known.number, known.stop_after = 0, math.inf
    resumed = run_benchmark(question, tmp_path / "cut", resume=True)
    assert 0 < known.number < 0.7 * calls
    assert resumed.complete
    assert differences(whole, resumed) == []
    before = known.number
    run_benchmark(question, tmp_path / "cut", resume=True)
    assert known.number == before + 1  # the probe, and nothing else


def test_what_has_changed_is_not_resumed(known, data, validation, tmp_path):
    run_benchmark(asked(data, validation, "still", exposures=(1,)), tmp_path)
    before = known.number
    fewer = run_benchmark(asked(data, validation, "still", exposures=(1,), pairs=2), tmp_path, resume=True)
    assert known.number > before + 2
    assert found(fewer, "still", "epe_mean").pairs == 2
    again = run_benchmark(asked(data, validation, "still", exposures=(1,)), tmp_path, overwrite=True)
    assert found(again, "still", "epe_mean").pairs == PAIRS
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_a_benchmark_is_run_again(known, data, validation, tmp_path):
    first = run_benchmark(asked(data, validation, "windowed", "choosy"), tmp_path / "first", command="so")
    question, stored = stored_benchmark(tmp_path / "first")
    assert question == asked(data, validation, "windowed", "choosy")
    second = run_benchmark(question, tmp_path / "second")
    assert differences(stored, second) == []
    known.truth = {key: (dx + 1, dy) for key, (dx, dy) in known.truth.items()}
    third = run_benchmark(question, tmp_path / "third")
    assert any("epe_mean" in line for line in differences(first, third))


def test_validation_pairs_are_simulated(known, data, tmp_path):
    question = Benchmark((str(data),), ("windowed",), exposures=(1,))
    results = run_benchmark(question, tmp_path)
    assert results.settings[0].chosen_on == "six-validation, 8 pairs"
    with specksim.open_dataset(tmp_path / "data" / "six-validation.h5") as dataset:
        assert (dataset.request.split, dataset.request.seed, len(dataset)) == ("validation", 1, 8)
        assert (dataset.request.steps, dataset.request.setup) == (EXPOSURES, SETUP)


def test_conditions_are_simulated_and_measured(known, tmp_path):
    question = Benchmark(
        (),
        ("still",),
        exposures=(1,),
        conditions=("speckle-size", "resolution"),
        pairs=2,
        setup=SETUP.to_toml(),
    )
    results = run_benchmark(question, tmp_path)
    sizes = {data.name: data.value for data in results.data if data.axis == "speckle size"}
    assert 1 < sizes["speckle-blur-0.3"] < sizes["speckle-blur-1"] < sizes["speckle-blur-2.5"]
    assert [data.name for data in results.data if data.axis == "resolution"] == [
        "resolution-star",
        "resolution-faint-star",
        "resolution-edge",
    ]
    special = {(f.group, f.metric) for f in results.figures if f.group in ("star", "wedge", "edge")}
    assert special == {
        ("star", "period_90_px"),
        ("wedge", "slope"),
        ("wedge", "noise_px"),
        ("star", "indicator"),
        ("edge", "edge_width_px"),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": ()}, "needs at least one data set"),
        ({"methods": ()}, "needs at least one method"),
        ({"methods": ("umpa", "umpa")}, "methods must be given once each, got umpa, umpa"),
        ({"exposures": (1, 0)}, "exposures must be >= 1, got 1, 0"),
        ({"pairs": -1}, "pairs must be >= 0, got -1"),
        ({"conditions": ("photons", "noise")}, "must be of exposures, photons, .*, all, got 'noise'"),
        ({"files": (), "conditions": ("photons",), "validation": "a.h5"}, "validation goes with files"),
    ],
)
def test_arguments_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(Benchmark(("a.h5",), ("umpa",)), **changes)


def test_arguments_are_kept_in_full():
    question = Benchmark(("a.h5",), ("umpa",), (1, 2), seed=3)
    assert Benchmark.from_arguments(json.loads(json.dumps(asdict(question)))) == question
    with pytest.raises(ValueError, match="not those of a benchmark of this version"):
        Benchmark.from_arguments({"files": []})


def test_data_that_cannot_serve(known, data, validation, tmp_path):
    with pytest.raises(ValueError, match="'six' twice"):
        run_benchmark(Benchmark((str(data), str(data)), ("still",)), tmp_path / "a")
    with pytest.raises(ValueError, match=r"has the sandpaper of .*six.h5"):
        run_benchmark(asked(data, data, "windowed"), tmp_path / "b")
    single = specksim.generate(tmp_path / "single.h5", SETUP, n=1, split="validation")
    with pytest.raises(ValueError, match=r"single.h5 must have the 2 exposures of .*six.h5, got 1"):
        run_benchmark(asked(data, single, "windowed"), tmp_path / "c")
    with pytest.raises(ValueError, match="exclude each other"):
        run_benchmark(asked(data, validation, "still"), tmp_path / "d", resume=True, overwrite=True)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "results.json").write_text("of somebody else")
    with pytest.raises(ValueError, match="not the results of a benchmark"):
        run_benchmark(asked(data, validation, "still"), tmp_path / "e", overwrite=True)


@pytest.mark.parametrize("damage", [lambda content: b"nothing", lambda content: content[: len(content) // 2]])
def test_a_damaged_cell_is_named(known, data, validation, tmp_path, damage):
    question = asked(data, validation, "still", exposures=(1,))
    run_benchmark(question, tmp_path)
    (cell,) = (tmp_path / "cells").iterdir()
    cell.write_bytes(damage(cell.read_bytes()))
    with pytest.raises(ValueError, match=rf"{cell.name}: damaged: .*remove it"):
        run_benchmark(question, tmp_path, resume=True)


def test_the_hash_of_a_model(tmp_path):
    assert model_hash(None) == model_hash(tmp_path / "none") == ""
    (tmp_path / "best.keras").write_bytes(b"one")
    first, file = model_hash(tmp_path), model_hash(tmp_path / "best.keras")
    assert len(first) == len(file) == 64
    (tmp_path / "best.keras").write_bytes(b"two")
    assert model_hash(tmp_path) != first


def test_a_model_that_was_replaced_is_measured_again(known, data, validation, tmp_path, monkeypatch):
    weights = tmp_path / "shipped"
    asked_for = []

    def still(reference, sample, *, setup=None, model=None):
        return known.still(reference, sample)

    still.model_path = lambda setup, model: asked_for.append((setup, model)) or weights
    monkeypatch.setitem(registry._BUILT_IN, "still", Method("still", still))
    numbers, hashes = [], []
    for content in ("one", "one", "two"):
        weights.write_text(content)
        before = known.number
        question = asked(data, validation, "still", "still:own", exposures=(1,))
        results = run_benchmark(question, tmp_path / "out", resume=True)
        numbers.append(known.number - before)
        hashes.append([method.model_sha256 for method in results.methods])
    assert numbers[1] == 2  # the probes
    assert numbers[2] == numbers[0] > 2 * PAIRS
    assert hashes[0] == hashes[1] != hashes[2] == 2 * [model_hash(weights)]
    assert asked_for[:2] == [(SETUP, None), (SETUP, "own")]


def test_memory_is_that_of_the_method_alone(data):
    ballast = np.ones(2**26)  # 0.5 GB of this process
    peak = peak_megabytes(Source("six", data, 6, ""), Entrant.parse("speckle-tie"), 2, {})
    assert 50 < peak < ballast.nbytes / 1e6
    assert math.isnan(peak_megabytes(Source("six", data, 6, ""), Entrant.parse("mist"), 1, {}))


@pytest.mark.slow
def test_two_workers_find_the_same(data, validation, tmp_path):
    question = asked(data, validation, "umpa@window=9", "speckle-tie", exposures=(1,), pairs=2)
    one = run_benchmark(question, tmp_path / "one")
    two = run_benchmark(question, tmp_path / "two", workers=2)
    assert differences(one, two) == []


def test_tensorflow_is_given_one_thread_and_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    script = (
        "import os; print(os.environ['TF_NUM_INTRAOP_THREADS'], os.environ.get('TF_NUM_INTEROP_THREADS'))"
    )
    with runner._one_thread():
        inside = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    outside = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (inside.stdout.strip(), outside.stdout.strip()) == ("1 1", "7 None")
