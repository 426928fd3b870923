"""specksim benchmark"""

import csv
import json

import pytest

from specksim import Setup, generate
from specksim.benchmark import cells
from tests.cli.conftest import SETS, TINY


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two pairs to compare on, and two to choose windows on."""
    folder = tmp_path_factory.mktemp("data")
    setup = Setup().with_values(**{key.replace(".", "__"): value for key, value in TINY.items()})
    options = {"n": 2, "geometries": "sphere"}
    generate(folder / "ball.h5", setup, split="evaluation", **options)
    generate(folder / "other.h5", setup, split="validation", **options)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cells, "peak_megabytes", lambda *_: 100.0)
    monkeypatch.setattr(cells, "_DRAWS", 20)


@pytest.fixture
def ran(cli, data, tmp_path):
    """A finished benchmark, and where it is."""
    words = (
        data / "ball.h5",
        "--validation",
        data / "other.h5",
        "--method",
        "lcs",
        "--method",
        "xst@window=9",
    )
    return cli("benchmark", *words, "--workers", 1, "-o", tmp_path / "out"), tmp_path / "out"


def test_results_report_and_table(ran, data):
    done, folder = ran
    assert done.status == 0, done.err
    assert {"results.json", "results.csv", "report.html", "figures", "cells"} <= {
        path.name for path in folder.iterdir()
    }
    assert "| lcs | 1 |" in done.out
    assert "| xst@window=9 | 1 |" in done.out
    assert f"wrote {folder}" in done.err
    tree = json.loads((folder / "results.json").read_text())
    ball, other = data / "ball.h5", data / "other.h5"
    assert (
        tree["command"]
        == f"specksim benchmark {ball} --method lcs --method xst@window=9 --validation {other}"
    )
    assert {setting["method"] for setting in tree["settings"] if setting["tried"]} == {"lcs"}
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(tree["figures"])
    assert {row["data"] for row in rows} == {"ball"}


def test_results_are_reproduced_or_not(ran, cli):
    _, folder = ran
    onto = cli("benchmark", "--reproduce", folder, "-o", folder)
    assert (onto.status, "-o must be another folder" in onto.err) == (2, True)
    same = cli("benchmark", "--reproduce", folder, "--workers", 1)
    assert same.status == 0
    assert same.out.startswith(f"{folder / 'again'}: all ")
    tree = json.loads((folder / "results.json").read_text())
    tree["figures"][0]["value"] += 0.001
    tree["versions"]["numpy"] = "1.0"
    (folder / "results.json").write_text(json.dumps(tree))
    assert "again/results.json exists; --resume goes on" in cli("benchmark", "--reproduce", folder).error
    other = cli("benchmark", "--reproduce", folder, "--resume", "--workers", 1)
    assert other.status == 1
    assert len(other.out.splitlines()) == 1
    assert other.out.startswith("figure ball, lcs, 1, all, all, epe_mean: value ")
    assert "numpy was 1.0, is " in other.err


def test_what_is_there_is_not_replaced(ran, cli, data):
    _, folder = ran
    words = ("benchmark", data / "ball.h5", "--method", "speckle-tie", "-o", folder)
    assert "results.json exists; --resume goes on, --overwrite starts anew" in cli(*words).error
    assert cli(*words, "--overwrite", "--workers", 1).status == 0


def test_conditions_of_a_setup(cli, tmp_path):
    done = cli(
        "benchmark", "--conditions", "resolution", *SETS, "--pairs", 1, "--method", "speckle-tie",
        "--workers", 1, "--seed", 2, "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.status == 0, done.err
    tree = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [data["axis"] for data in tree["data"]] == ["resolution"] * 3
    assert "rows = 32" in tree["arguments"]["setup"]
    assert tree["command"].endswith("--pairs 1 --seed 2")
    assert "--set detector.rows=32" in tree["command"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "needs at least one data set: a file, or conditions"),
        (("a.h5",), "needs at least one method"),
        (("a.h5", "--method", "umpa"), "give -o DIR"),
        (("a.h5", "--method", "umpa", "-o", "out", "--setup", "mct-25kev"), "go with --conditions"),
        (
            ("--conditions", "all", "--method", "umpa", "-o", "out", "--validation", "b.h5"),
            "validation goes with files",
        ),
        (
            ("a.h5", "--method", "umpa", "-o", "out", "--exposures", "1,1"),
            "exposures must be given once each, got 1, 1",
        ),
        (
            ("a.h5", "--method", "umpa", "-o", "out", "--exposures", "few"),
            "must be whole numbers, as in 1,4,10, got 'few'",
        ),
        (("--conditions", "noise", "--method", "umpa", "-o", "out"), "'noise' is not one of"),
        (("--reproduce", "out", "--seed", "1"), "does not go with --seed"),
        (("a.h5", "--reproduce", "out"), "does not go with FILE"),
        (("a.h5", "--method", "umpa", "-o", "out", "--resume", "--overwrite"), "exclude each other"),
    ],
)
def test_wrong_usage(words, message, cli):
    done = cli("benchmark", *words)
    assert done.status == 2
    assert message in done.err


def test_errors_in_one_line(cli, data, tmp_path):
    ball, out = data / "ball.h5", ("-o", tmp_path / "out")
    assert "No such file" in cli("benchmark", tmp_path / "none.h5", "--method", "umpa", *out).error
    assert "did you mean 'umpa'" in cli("benchmark", ball, "--method", "ump", *out).error
    assert "no option 'size'" in cli("benchmark", ball, "--method", "umpa@size=3", *out).error
    assert "results.json: No such file" in cli("benchmark", "--reproduce", tmp_path).error
    assert not (tmp_path / "out").exists()


def test_no_network_no_benchmark(cli, data, tmp_path):
    done = cli("benchmark", data / "ball.h5", "--method", f"unet:{tmp_path / 'run'}", "-o", tmp_path / "out")
    assert "method 'unet'" in done.error
    assert not (tmp_path / "out").exists()
