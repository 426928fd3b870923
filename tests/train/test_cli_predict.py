"""The commands predict, evaluate and export, run as a user runs them."""

import importlib.util
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy import ndimage

import specksim
from specksim.retrieval import integrate_phase
from specksim_train.cli import main
from specksim_train.loading import native_chatter_held
from tests.train.networks import windowed_shifts


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run folder, see `windowed_shifts`."""
    folder = tmp_path_factory.mktemp("run")
    windowed_shifts().save(folder / "best.keras")
    (folder / "config.json").write_text(json.dumps({"domain": {"photons_per_pixel": [100, 5000]}}))
    return str(folder)


def speckle(seed=0, shape=(64, 80)):
    pattern = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5, mode="wrap")
    return (1000 * np.exp(0.3 * pattern / pattern.std())).astype(np.float32)


def moved(image, dx, dy):
    return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), (dy, dx))).real.clip(0).astype(np.float32)


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_well(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def files(tmp_path):
    tifffile.imwrite(tmp_path / "ref.tif", speckle())
    tifffile.imwrite(tmp_path / "sample.tif", moved(speckle(), 5.3, -0.2))
    return tmp_path


def test_the_backend_does_not_chatter(tmp_path, run_folder):
    arguments = ["predict", "none.tif", "none.tif", "--model", run_folder]
    command = [sys.executable, "-m", "specksim_train", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == "Error: none.tif: No such file or directory\n"


def test_what_the_backend_says_of_an_error_is_shown(capfd):
    @native_chatter_held()
    def start(damaged):
        os.write(2, b"hello\n")
        if damaged:
            raise ImportError("no such symbol")

    start(damaged=False)
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError, match="no such symbol"):
        start(damaged=True)
    assert capfd.readouterr().err == "hello\n"


def test_a_pair_of_tiff_files(files, run_folder):
    out, png = files / "out.h5", files / "out.png"
    result = run_well(
        "predict", files / "ref.tif", files / "sample.tif", "--model", run_folder, "--setup", "imbl-28kev",
        "--set", "propagation.sample_to_detector_m=1.5", "-o", out, "--figure", png,
    )  # fmt: skip
    assert "pair 0: drift dx 5.3" in result.stdout
    assert "whole pixels 5, 0" in result.stdout
    assert "warning" not in result.stderr
    assert png.read_bytes().startswith(b"\x89PNG")
    with h5py.File(out) as file:
        data = file["entry/data"]
        assert data.attrs["signal"] == "dx"
        assert data["dx"].shape == (1, 64, 80)
        assert np.median(data["dx"]) == pytest.approx(5.3, abs=0.1)
        assert np.median(data["dy"]) == pytest.approx(-0.2, abs=0.1)
        setup = specksim.Setup.from_toml(file["entry/setup/toml"].asstr()[()])
        assert setup.propagation.sample_to_detector_m == 1.5
        phase = integrate_phase(data["dx"][0], data["dy"][0], setup)
        np.testing.assert_allclose(data["phase"][0], phase, rtol=1e-4, atol=1e-2)
        assert file["entry/parameters/removed_dx_px"][0] == 5
        assert file["entry/parameters/model"].asstr()[0] == run_folder
    again = run("predict", files / "ref.tif", files / "sample.tif", "--model", run_folder, "-o", out)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    run_well(
        "predict", files / "ref.tif", files / "sample.tif", "--model", run_folder, "-o", out, "--overwrite",
        "--subtract-drift",
    )  # fmt: skip
    with h5py.File(out) as file:
        assert "phase" not in file["entry/data"]
        assert np.median(file["entry/data/dx"]) == pytest.approx(0.0, abs=1e-4)


def test_series_with_one_reference_and_corrections(tmp_path, run_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    flat = rng.uniform(0.5, 1.5, speckle().shape).astype(np.float32)
    shifts = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3)]
    with h5py.File("scan.h5", "w") as file:
        file["a/images"] = [100 + flat * moved(speckle(), *shift) for shift in shifts]
    np.save("ref.npy", 100 + flat * speckle())
    np.save("dark.npy", np.full(flat.shape, 100.0))
    np.save("flat.npy", 100 + 1000 * flat)
    result = run_well(
        "predict", "ref.npy", "scan.h5::/a/images", "--model", run_folder, "--dark", "dark.npy",
        "--flat", "flat.npy", "--tile", 1024, "--overlap", 32,
    )  # fmt: skip
    assert len(result.stdout.splitlines()) == 3
    with h5py.File("scan-predicted.h5") as file:
        dx, dy = file["entry/data/dx"][()], file["entry/data/dy"][()]
        assert file["entry/parameters/overlap_px"][0] == 32
    assert len(dx) == 3
    for index, (x, y) in enumerate(shifts):
        assert np.median(dx[index]) == pytest.approx(x, abs=0.05)
        assert np.median(dy[index]) == pytest.approx(y, abs=0.05)


def test_frames_as_exposures_of_one_pair(tmp_path, run_folder):
    references = np.stack([speckle(seed) for seed in range(3)])
    tifffile.imwrite(tmp_path / "r.tif", references, photometric="minisblack")
    samples = np.stack([moved(image, 0.3, 0.0) for image in references])
    tifffile.imwrite(tmp_path / "s.tif", samples, photometric="minisblack")
    out = tmp_path / "out.h5"
    run_well("predict", tmp_path / "r.tif", tmp_path / "s.tif", "--model", run_folder, "-o", out, "--average")
    with h5py.File(out) as file:
        assert file["entry/data/dx"].shape == (1, 64, 80)
        assert file["entry/data/dx_error"].shape == (1, 64, 80)


def test_warnings_go_to_stderr_once(tmp_path, run_folder):
    np.save(tmp_path / "r.npy", 0.01 * speckle())
    np.save(tmp_path / "s.npy", np.stack([0.01 * speckle()] * 3))
    out = tmp_path / "out.h5"
    result = run_well("predict", tmp_path / "r.npy", tmp_path / "s.npy", "--model", run_folder, "-o", out)
    assert result.stderr.count("warning: pair 0: the reference's mean count is 10") == 1
    assert result.stderr.count("warning") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.tif", "sample.tif"), "missing.tif: No such file"),
        (("ref.tif", "other.npy"), "ref.tif and other.npy: frames must be of one size"),
        (("ref.tif", "nan.npy"), "nan.npy: frame 0 must be finite"),
        (("ref.tif", "sample.tif", "--dark", "other.npy"), "dark must have the shape"),
        (("ref.tif", "sample.tif", "--model", "nosuch"), "model must be a run folder"),
        (("ref.tif", "sample.tif", "-o", "nowhere/x.h5"), "nowhere/x.h5: the folder nowhere does not exist"),
        (("ref.tif", "sample.tif", "-o", "."), ". is a folder: name a file"),
        (("ref.tif", "sample.tif", "--figure", "x.jpg"), "x.jpg: pictures are PNG files"),
        (("ref.tif", "sample.tif", "--setup", "nosuch"), "unknown setup 'nosuch'"),
    ],
)
def test_errors_are_one_line(files, run_folder, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    np.save("other.npy", np.ones((32, 32)))
    np.save("nan.npy", np.full((64, 80), np.nan))
    model = () if "--model" in arguments else ("--model", run_folder)
    before = set(files.iterdir())
    result = run("predict", *arguments, *model)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert set(files.iterdir()) == before


def test_wrong_usage(files):
    assert run("predict", "ref.tif").exit_code == 2
    result = run("predict", "ref.tif", "s.tif", "--model", "m", "--set", "detector.rows=64")
    assert result.exit_code == 2
    assert "--set needs --setup" in result.stderr


def test_evaluate(tmp_path, run_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setup = specksim.Setup().with_values(detector__rows=64, detector__columns=64)
    specksim.generate("pairs.h5", setup, geometries=("sphere",), n=2)
    result = run_well("evaluate", "pairs.h5", "--model", run_folder)
    assert result.stdout.startswith("| group")
    assert "sphere" in result.stdout
    stored = json.loads((tmp_path / "evaluation-pairs" / "results.json").read_text())
    assert stored["model"] == run_folder
    assert stored["rows"][0]["pairs"] == 2
    assert stored["rows"][0]["epe_mean"] < 1
    run_well("evaluate", "pairs.h5", "--model", run_folder, "--n", 1, "-o", "here")
    assert (tmp_path / "here" / "results.csv").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("file_format", ["onnx", "saved_model"])
def test_export(tmp_path, run_folder, file_format):
    result = run_well("export", run_folder, "--format", file_format, "-o", tmp_path / "network")
    assert "agrees with Keras within" in result.stdout
    assert (tmp_path / "network").exists()


def test_export_says_what_to_install(run_folder, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "onnx" in name else real(name))
    result = run("export", run_folder, "-o", tmp_path / "network.onnx")
    assert result.exit_code == 1
    assert "pip install 'specksim[train,onnx]'" in result.stderr
    assert list(tmp_path.iterdir()) == []
