"""specksim info"""

import re

import h5py
import pytest

from specksim import Setup
from specksim.dataset import open_dataset
from tests.cli.conftest import SETS


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


def test_saturated_pixels_are_counted(cli, tiny, tmp_path):
    assert "saturated pixels    none: the detector has no limit" in cli("info", tiny).out
    words = ["generate", "--n", 2, *SETS, "--set", "detector.bit_depth=12", "-o", tmp_path / "x.h5"]
    assert cli(*words, "--set", "detector.offset=100", "--set", "detector.read_noise_counts=3").status == 0
    out = cli("info", tmp_path / "x.h5").out
    with open_dataset(tmp_path / "x.h5") as dataset:
        full = sum(int((image == 4095).sum()) for pair in dataset for image in (pair.reference, pair.sample))
        mean = sum(pair.reference.mean() - 100 for pair in dataset) / 2
    assert full > 0
    assert f"saturated pixels    {full} of {4 * 32 * 32} (" in out
    assert "at a grey value of 4095" in out
    assert f"reference mean      {mean:.4g} photons" in out
    assert cli("check", tmp_path / "x.h5").status == 0


def test_a_spectrum_shows_its_effective_energy(cli, tmp_path):
    (tmp_path / "tube.csv").write_text("25,1\n40,2\n")
    (tmp_path / "tube.toml").write_text('[beam]\nspectrum = "tube.csv"\n')
    words = ["generate", "--n", 4, "--setup", tmp_path / "tube.toml", *SETS, "-o", tmp_path / "x.h5"]
    assert cli(*words).status == 0
    (tmp_path / "tube.csv").unlink()  # the file holds all of it
    out = cli("info", tmp_path / "x.h5").out
    with open_dataset(tmp_path / "x.h5") as dataset:
        setup = dataset.request.setup
        assert setup.beam.spectrum == ((25.0, 1.0), (40.0, 2.0))
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["/entry/setup/energy_kev"][()] == setup.beam.energy_kev
    assert f"2 lines, effective energy {setup.beam.energy_kev:.4g} keV" in out
    assert cli("check", tmp_path / "x.h5").status == 0
