"""specksim tune"""

import re

import pytest

from tests.cli.conftest import SETS


def test_the_last_line_can_be_given_to_generate(cli, tmp_path):
    done = cli("tune", "--visibility", 0.28, *SETS)
    assert (done.status, done.err) == (0, "")
    *trials, last = done.out.splitlines()
    found = re.fullmatch(r"--set (diffuser\.sheets=(\d+))    visibility (0\.\d{3})", last)
    assert found is not None
    rows = [line.split() for line in trials[1:]]
    assert len(rows) > 1
    nearest = min(rows, key=lambda row: abs(float(row[1]) - 0.28))
    assert [found[2], found[3]] == nearest[:2]
    assert cli("generate", "--n", 1, *SETS, "--set", found[1], "-o", tmp_path / "x.h5").status == 0


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--visibility", "2"], ["visibility", "between 0 and 1", "2.0"]),
        (["--visibility", "0.3", "--setup", "none.toml"], ["none.toml"]),
        (["--visibility", "0.99"], ["0.99", "it is 0.", "too steep for the wave grid"]),
    ],
)
def test_errors_are_one_line(words, parts, cli):
    error = cli("tune", *words, *SETS).error
    for part in parts:
        assert part in error


@pytest.mark.parametrize("words", [[], ["--visibility", "much"], ["--visibility", "0.3", "stray"]])
def test_wrong_usage_is_status_2(words, cli):
    assert cli("tune", *words).status == 2
