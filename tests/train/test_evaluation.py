"""Metrics of a network on a data set, against predictors whose errors are known."""

import csv
import json

import numpy as np
import pytest

import specksim
from specksim.retrieval import Retrieval
from specksim_train.evaluation import (
    COLUMNS,
    ZERO_MOTION,
    evaluate,
    format_table,
    write_results,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pairs.h5"
    setup = specksim.Setup().with_values(detector__rows=48, detector__columns=64)
    specksim.generate(path, setup, material="mixed", geometries=("sphere", "fiber"), n=4)
    return path


def retrieval(dx, dy):
    return Retrieval(dx, dy, np.ones_like(dx), method="trial")


def zero(reference, sample):
    return retrieval(np.zeros(reference.shape), np.zeros(reference.shape))


def oracle(path, dx=0.0, dy=0.0):
    """Knows the truth of each sample image, and errs by (dx, dy)."""
    with specksim.open_dataset(path) as dataset:
        known = {pair.sample[0].tobytes(): (pair.dx, pair.dy) for pair in dataset}

    def predict(reference, sample):
        nothing = np.zeros(reference.shape, np.float32)
        truth = known.get(sample.tobytes(), (nothing, nothing))
        return retrieval(truth[0] + np.float32(dx), truth[1] + np.float32(dy))

    return predict


def rows_of(results):
    return {(row["group"], row["pixels"]): row for row in results["rows"]}


def test_zero_predictor_explains_nothing(data):
    rows = rows_of(evaluate(zero, data))
    assert rows["all", "all"]["r2"] == pytest.approx(0.0, abs=1e-12)
    assert rows["all", "all"]["epe_mean"] > 0.01
    assert rows["all", "all"]["phase_rmse"] > 1.0
    assert rows[ZERO_MOTION[0], "all"]["epe_mean"] == 0.0


def test_perfect_predictor(data):
    rows = rows_of(evaluate(oracle(data), data))
    assert rows["all", "all"]["r2"] == 1.0
    assert rows["all", "valid"]["epe_p95"] == 0.0
    assert rows["all", "all"]["phase_rmse"] == 0.0


def test_bias_has_its_sign_and_axis(data):
    seen = []
    results = evaluate(oracle(data, dx=0.3, dy=-0.4), data, progress=seen.append)
    rows = rows_of(results)
    for row in rows.values():
        assert row["bias_dx"] == pytest.approx(0.3, abs=1e-6)
        assert row["bias_dy"] == pytest.approx(-0.4, abs=1e-6)
        assert row["epe_mean"] == pytest.approx(0.5, abs=1e-6)
    assert sum(seen) == 4
    assert results["data"]["pairs"] == 4


def test_groups(data):
    rows = rows_of(evaluate(zero, data))
    names = {group for group, _ in rows}
    parts = {"geometry sphere", "geometry fiber", "material nylon", "material pmma"}
    assert names == {"all", *parts, *ZERO_MOTION}
    assert rows["geometry sphere", "all"]["pairs"] == rows["geometry fiber", "valid"]["pairs"] == 2
    assert rows["all", "valid"]["epe_mean"] < rows["all", "all"]["epe_mean"]
    assert rows_of(evaluate(zero, data, n=1))["all", "all"]["pairs"] == 1
    with pytest.raises(ValueError, match="n must be >= 1, got 0"):
        evaluate(zero, data, n=0)


def test_files_and_table(tmp_path, data):
    results = evaluate(zero, data)
    json_file, csv_file = write_results(tmp_path / "new", results)
    stored = json.loads(json_file.read_text())
    assert [row["group"] for row in stored["rows"]] == [row["group"] for row in results["rows"]]
    assert stored["rows"][-1]["r2"] is None
    with csv_file.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert float(rows[0]["epe_mean"]) == results["rows"][0]["epe_mean"]
    assert rows[-1]["r2"] == ""
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"results.json", "results.csv"}
    lines = format_table(results["rows"]).splitlines()
    assert len(lines) == 2 + len(results["rows"])
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == list(COLUMNS)


def test_what_is_no_data_set(tmp_path):
    with pytest.raises(FileNotFoundError):
        evaluate(zero, tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("no data set")
    with pytest.raises(ValueError, match=r"text\.h5"):
        evaluate(zero, tmp_path / "text.h5")


def test_prediction_that_is_not_finite(data):
    def broken(reference, sample):
        return retrieval(np.full(reference.shape, np.nan), np.zeros(reference.shape))

    with pytest.raises(ValueError, match="finite"):
        evaluate(broken, data)
