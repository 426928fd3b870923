"""results.json and results.csv: written, read back, compared."""

import csv
import json
import math
from dataclasses import replace

import pytest

from specksim.benchmark.results import (
    Comparison,
    Contestant,
    Data,
    Failure,
    Figure,
    Results,
    Setting,
    differences,
    read_results,
    write_results,
)

NAN = math.nan
OTHER = '{"program": "specksim", "format": %d, "version": "0.0.9"}'
TRIED = {"window 5": {"all": NAN, "valid": NAN}, "window 21": {"all": 0.03, "valid": 0.02}}


@pytest.fixture
def results():
    where = ("flower", "umpa", 1)
    return Results(
        command="specksim benchmark flower.h5 --method umpa",
        arguments={"files": ["flower.h5"]},
        seed=0,
        methods=[Contestant("umpa", "umpa", "Displacement.", {}, False)],
        data=[Data("flower", "flower.h5", "abc", 2, 1, "[beam]", "", NAN, "", "a flower", 0.01)],
        settings=[Setting(*where, {"window": 21}, {"window": 9}, "validation, 8 pairs", TRIED, [])],
        figures=[
            Figure(*where, "all", "valid", "epe_mean", 0.031, 0.03, 0.032, 2),
            Figure(*where, "star", "", "period_90_px", math.inf, NAN, NAN, 2),
            Figure(*where, "all", "", "seconds", 1.0, 0.9, 1.1, 2),
        ],
        comparisons=[Comparison("flower", 1, 1, "umpa", "lcs", "epe_mean", "valid", True)],
        failures=[Failure(*where, 1, "too dark")],
    )


def test_round_trip(results, tmp_path):
    write_results(tmp_path, results)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.csv"}
    tree = json.loads((tmp_path / "results.json").read_text())
    assert (tree["program"], tree["format"]) == ("specksim", 1)
    assert tree["data"][0]["value"] is None
    assert tree["settings"][0]["tried"] == {
        "window 5": {"all": None, "valid": None},
        "window 21": {"all": 0.03, "valid": 0.02},
    }
    assert tree["figures"][1]["value"] == "inf"
    back = read_results(tmp_path)
    assert repr(back) == repr(results)  # NaN is not equal to itself
    assert differences(results, back) == []
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["metric"] for row in rows] == ["epe_mean", "period_90_px", "seconds"]
    assert (rows[0]["value"], rows[1]["low"]) == ("0.031", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not the results of a benchmark, or damaged"),
        ("[]", "not the results of a benchmark"),
        ("{}", "not the results of a benchmark"),
        ('{"program": "other", "format": 1, "version": "1"}', "not the results of a benchmark of specksim"),
        (OTHER % 2, r"another version of specksim, 0.0.9, or damaged: format 2 is not 1"),
        (OTHER % 1, "another version of specksim, 0.0.9, or damaged: 'methods'"),
    ],
)
def test_what_is_no_result(text, message, tmp_path):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=rf"results\.json: .*{message}") as error:
        read_results(tmp_path)
    assert "\n" not in str(error.value)


def test_results_of_another_version(results, tmp_path):
    tree = json.loads(results.to_json())
    tree["data"][0]["bound"] = tree["data"][0].pop("bound_px")
    (tmp_path / "results.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=r"another version of specksim, .* argument 'bound'.* again$"):
        read_results(tmp_path)


def changed(results, name, **values):
    first, *rest = getattr(results, name)
    return replace(results, **{name: [replace(first, **values), *rest]})


@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        (
            "figures",
            {"value": 0.0311},
            "figure flower, umpa, 1, all, valid, epe_mean: value 0.031 then, 0.0311 now",
        ),
        ("figures", {"pairs": 1}, "figure flower, umpa, 1, all, valid, epe_mean: pairs 2 then, 1 now"),
        ("figures", {"high": NAN}, "figure flower, umpa, 1, all, valid, epe_mean: high 0.032 then, nan now"),
        ("data", {"content_hash": "xyz"}, "data flower: content_hash abc then, xyz now"),
        ("settings", {"options": {"window": 9}}, "options {'window': 21} then, {'window': 9} now"),
        (
            "settings",
            {"tried": TRIED | {"window 5": {"all": 0.1, "valid": NAN}}},
            "setting flower, umpa, 1: window 5, all nan then, 0.1 now",
        ),
        ("comparisons", {"different": False}, "different True then, False now"),
        ("failures", {"message": "too bright"}, "failure flower, umpa, 1, pair 1: message too dark then"),
        ("failures", {"pair": 0}, "failure flower, umpa, 1, pair 1: only in the first run"),
    ],
)
def test_what_differs_is_named(name, values, line, results):
    lines = differences(results, changed(results, name, **values))
    assert any(line in found for found in lines)
    assert len(lines) == (2 if "pair" in values and name == "failures" else 1)


def test_what_may_differ(results):
    *others, seconds = results.figures
    slower = replace(results, figures=[*others, replace(seconds, value=2.0, low=1.9)], created="later")
    assert differences(results, slower) == []
    assert differences(results, changed(results, "figures", value=0.031 * (1 + 1e-8))) == []
