"""specksim info"""

import re

import pytest

from specksim import Setup
from specksim.dataset import open_dataset


def test_info_prints_the_request_the_speckle_and_the_setup(cli, tiny):
    done = cli("info", tiny)
    assert (done.status, done.err) == (0, "")
    for text in (str(tiny), "al2o3 4", "sphere 1, fiber 1", "training, 0", "content hash"):
        assert text in done.out


def test_visibility_and_width_are_plausible(cli, tiny):
    out = cli("info", tiny).out
    visibility = re.search(r"speckle visibility +([\d.]+)", out)
    width = re.search(r"speckle width +([\d.]+) × ([\d.]+) px", out)
    assert visibility is not None
    assert width is not None
    assert 0.05 < float(visibility[1]) < 0.5  # one sheet
    assert all(1 < float(number) < 6 for number in width.groups())


def test_the_printed_setup_can_be_given_back(cli, tiny):
    out = cli("info", tiny).out
    with open_dataset(tiny) as dataset:
        assert Setup.from_toml(out[out.index("\n[beam]") :]) == dataset.request.setup


@pytest.mark.parametrize("command", ["info", "check", "preview"])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.h5", None, "No such file"),
        ("text.h5", b"text", "not an HDF5 file"),
        ("empty.h5", b"", "not an HDF5"),
    ],
)
def test_what_is_no_data_set_is_named(command, name, content, words, cli, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    error = cli(command, tmp_path / name).error
    assert str(tmp_path / name) in error
    assert words in error


@pytest.mark.parametrize("command", ["info", "check", "preview"])
def test_a_directory_is_named(command, cli, tmp_path):
    assert f"{tmp_path}: Is a directory" in cli(command, tmp_path).error


@pytest.mark.parametrize("command", ["info", "check", "preview"])
def test_a_file_must_be_given(command, cli):
    done = cli(command)
    assert done.status == 2
    assert "Missing argument 'FILE'" in done.err
