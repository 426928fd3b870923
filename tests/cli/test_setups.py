"""specksim setups"""

import pytest

from specksim import Setup
from specksim.setups import presets


def test_every_preset_is_listed_and_the_default_marked(cli):
    done = cli("setups")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == list(presets())
    assert [line.split()[0] for line in lines if "default" in line] == ["imbl-28kev"]
    assert "M = 2" in next(line for line in lines if line.startswith("lab-2m"))


@pytest.mark.parametrize("name", presets())
def test_what_is_printed_can_be_given_back(name, cli, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(cli("setups", name).out, encoding="utf-8")
    assert Setup.load(path) == Setup.load(name)
    assert cli("setups", path).out == path.read_text(encoding="utf-8")


def test_set_replaces_values(cli):
    out = cli(
        "setups", "mct-25kev", "--set", "detector.rows=64", "--set", "detector.photons_per_pixel=inf"
    ).out
    setup = Setup.load("mct-25kev").with_values(detector__rows=64, detector__photons_per_pixel=float("inf"))
    assert Setup.from_toml(out) == setup


def test_every_key_is_explained(cli):
    lines = [line for line in cli("setups", "lab-2m").out.splitlines() if "=" in line]
    assert all("# " in line for line in lines)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["lab2m"], ["lab2m", "'lab-2m'"]),
        (["none.toml"], ["none.toml", "No such file"]),
        (["lab-2m", "--set", "detector.pixel_size=1"], ["detector.pixel_size", "detector.pixel_size_um"]),
    ],
)
def test_errors_name_the_nearest(words, parts, cli):
    done = cli("setups", *words)
    assert done.out == ""
    for part in parts:
        assert part in done.error


def test_set_needs_a_setup(cli):
    done = cli("setups", "--set", "detector.rows=64")
    assert done.status == 2
    assert "--set needs the NAME" in done.err
