"""The example on measured data, on simulated images of the same names and types."""

import runpy
import shlex
import sys
from pathlib import Path

import h5py
import keras
import matplotlib.image
import numpy as np
import pytest
import tifffile

from specksim import Setup, generate, open_dataset
from specksim.cli import main as specksim
from specksim_train.cli import main as specksim_train
from tests.train.networks import windowed_shifts

ROOT = Path(__file__).parent.parent
SCRIPT, PAGE = ROOT / "examples/wattle_flower.py", ROOT / "docs/wattle-flower.md"
ROWS, COLUMNS, DARK = 72, 80, 100
INSIDE = (slice(10, -10), slice(10, -10))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder like the published one, and the true dx."""
    folder = tmp_path_factory.mktemp("wattle")
    setup = Setup.load("imbl-25kev-wattle").with_values(
        detector__rows=ROWS, detector__columns=COLUMNS, detector__photons_per_pixel=8000.0
    )
    generate(folder / "set.h5", setup, material="nylon", geometries="flower", steps=15, n=1, seed=3)
    rng = np.random.default_rng(0)
    flat = rng.uniform(0.9, 1.1, (ROWS, COLUMNS))
    with open_dataset(folder / "set.h5") as pairs:
        pair = pairs[0]

    def write(name, counts):
        tifffile.imwrite(folder / name, np.rint(DARK + flat * counts).astype(np.uint16))

    for k in range(15):
        write(f"ReferenceSpeckle_Y{k:02d}.tif", pair.reference[k].astype(float))
        write(f"SAMPLE_Y{k:02d}_T0.tif", pair.sample[k].astype(float))
        write(f"DarkCurrent_Y{k:02d}.tif", rng.normal(0, 2, flat.shape))
    write("FF_2m.tif", np.full(flat.shape, 8000.0))
    return folder, pair.dx


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "network.keras"
    windowed_shifts().save(path)
    return path


def run_script(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def error(path, truth):
    """Spread of the error of dx away from the border, px; filaments are thinner than any window."""
    with h5py.File(path) as file:
        return float((file["entry/data/dx"][0] - truth)[INSIDE].std())


def test_the_script(measured, tmp_path, monkeypatch, capsys):
    folder, truth = measured
    run_script(monkeypatch, folder, "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.png", "mist-15.h5", "umpa-1.h5", "umpa-15.h5",
    ]  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["umpa-15", "mist-15", "umpa-1"]
    assert lines[0].startswith("umpa-15: dx is 0.0000 px (RMS) from that of umpa-15")
    many, one = (error(tmp_path / f"out/umpa-{k}.h5", truth) for k in (15, 1))
    assert many < min(one, truth[INSIDE].std())
    assert np.ptp(matplotlib.image.imread(tmp_path / "out/comparison.png")[..., :3], axis=-1).max() > 0.5
    with h5py.File(tmp_path / "out/mist-15.h5") as file:
        assert file["entry/data/phase"].shape == (1, ROWS, COLUMNS)


@pytest.mark.filterwarnings("ignore::specksim_train.inference.OutsideTraining")
def test_the_script_with_a_network_and_a_part_of_the_frame(measured, model, tmp_path, monkeypatch, capsys):
    run_script(monkeypatch, measured[0], "--model", model, "--middle", 48, "--out", tmp_path / "out")
    assert "network-1: dx is" in capsys.readouterr().out
    with h5py.File(tmp_path / "out/network-1.h5") as file:
        assert file["entry/data/dx"].shape == (1, 48, 48)


def test_a_folder_that_lacks_an_exposure(measured, tmp_path, monkeypatch):
    for path in measured[0].glob("*.tif"):
        if "Y14" not in path.name:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(SystemExit, match="must be 15 images, got 14"):
        run_script(monkeypatch, tmp_path)
    with pytest.raises(SystemExit, match=r"^Error: .*none.*DarkCurrent_Y"):
        run_script(monkeypatch, tmp_path / "none")


@pytest.mark.slow
def test_the_commands_of_the_page(measured, model, monkeypatch, tmp_path):
    """As they stand there, but for the network, and with a window that fits the small frame."""
    folder, truth = measured
    monkeypatch.chdir(tmp_path)
    for path in folder.glob("*.tif"):
        (tmp_path / path.name).symlink_to(path)
    block = PAGE.read_text(encoding="utf-8").split("```sh\n")[1].partition("```")[0]
    commands = {"specksim": specksim, "specksim-train": specksim_train}
    for line in block.splitlines():
        name, *arguments = shlex.split(line.replace("--model run", f"--model {model}"))
        commands[name].main(arguments, prog_name=name, standalone_mode=False)
    for name in ("umpa-15", "mist-15", "umpa-1", "network-1"):
        with h5py.File(f"{name}.h5") as file:
            assert file["entry/data/dx"].shape == (1, ROWS, COLUMNS)
            assert "phase" in file["entry/data"]
        assert Path(f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert error("umpa-15.h5", truth) < error("umpa-1.h5", truth)
    keras.utils.clear_session()
