"""specksim retrieve"""

import h5py
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from specksim import Setup, generate
from specksim.retrieval import method_names


def speckle(seed=0, shape=(48, 60)):
    pattern = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5, mode="wrap")
    return (1000 * np.exp(0.3 * pattern / pattern.std())).astype(np.float32)


def shifted(image, dx, dy):
    return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), (dy, dx))).real.clip(0).astype(np.float32)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("ref.tif", speckle())
    tifffile.imwrite("sample.tif", shifted(speckle(), 1.3, -0.4))
    return tmp_path


def test_two_tiff_files(files, cli):
    done = cli(
        "retrieve", "ref.tif", "sample.tif", "--method", "xst", "--window", 11, "--max-shift", 3, "--setup",
        "imbl-28kev", "--set", "propagation.sample_to_detector_m=1.5", "-o", "out.h5", "--figure", "out.png",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert done.out.startswith(
        "out.h5: pair 0: xst, exposures 1, window_px 11, max_shift_px 3: median dx 1.30"
    )
    assert (files / "out.png").read_bytes().startswith(b"\x89PNG")
    with h5py.File("out.h5") as file:
        data = file["entry/data"]
        assert data.attrs["signal"] == "dx"
        assert {"dx", "dy", "phase", "transmission", "dark_field", "dx_error", "quality"} <= set(data)
        assert data["dx"].shape == (1, 48, 60)
        assert data["dx"].attrs["units"] == "pixel"
        assert np.median(data["dy"]) == pytest.approx(-0.4, abs=0.01)
        setup = Setup.from_toml(file["entry/setup/toml"].asstr()[()])
        assert setup.propagation.sample_to_detector_m == 1.5
        assert file["entry/parameters/method"].asstr()[0] == "xst"
        assert file["entry/parameters/window_px"][0] == 11
    again = cli("retrieve", "ref.tif", "sample.tif", "-o", "out.h5")
    assert "out.h5 exists; give --overwrite" in again.error
    assert cli("retrieve", "ref.tif", "sample.tif", "-o", "out.h5", "--overwrite").status == 0
    with h5py.File("out.h5") as file:
        assert "phase" not in file["entry/data"]
        assert "setup" not in file["entry"]


def test_a_data_set_s_offset_gain_and_dark_counts_are_taken_off(tmp_path, cli):
    found = {}
    plain = Setup().with_values(detector__rows=64, detector__columns=64, diffuser__sheets=2)
    grey = plain.with_values(detector__offset=700, detector__gain=1.5, detector__dark_counts=20.0)
    for name, setup in {"plain": plain, "grey": grey}.items():
        generate(tmp_path / f"{name}.h5", setup, material="al2o3", geometries="fiber", n=1)
        done = cli("retrieve", tmp_path / f"{name}.h5", "--method", "lcs", "-o", tmp_path / f"{name}-lcs.h5")
        assert done.status == 0, done.err
        with h5py.File(tmp_path / f"{name}-lcs.h5") as file:
            found[name] = 1 - file["entry/data/transmission"][0]
    there = found["plain"] > 0.03
    slope = np.sum((found["grey"] * found["plain"])[there]) / np.sum(found["plain"][there] ** 2)
    assert slope == pytest.approx(1, abs=0.04)  # 0.8 with the offset left in


def test_the_file_says_which_pair_it_holds_and_a_picture_needs_its_folder(tmp_path, cli):
    setup = Setup().with_values(detector__rows=32, detector__columns=32, diffuser__sheets=1)
    generate(tmp_path / "x.h5", setup, geometries="empty", n=3)
    out = tmp_path / "out.h5"
    assert cli("retrieve", tmp_path / "x.h5", "--pair", 2, "--window", 7, "-o", out).status == 0
    with h5py.File(out) as file:
        assert file["entry/parameters/pair"][:].tolist() == [2]
    missing = tmp_path / "none" / "x.png"
    again = cli("retrieve", tmp_path / "x.h5", "--figure", missing, "-o", out, "--overwrite")
    assert again.status == 1
    assert f"the folder {missing.parent} does not exist" in again.error


def test_stacks_are_exposures_and_are_corrected(files, cli):
    flat = np.random.default_rng(1).uniform(0.5, 1.5, speckle().shape).astype(np.float32)
    for name, move in (("r.tif", 0.0), ("s.tif", 0.6)):
        stack = np.stack([100 + flat * shifted(speckle(seed), move, 0) for seed in range(3)])
        tifffile.imwrite(name, stack, photometric="minisblack")
    np.save("dark.npy", np.full(flat.shape, 100.0))
    np.save("flat.npy", 100 + 1000 * flat)
    done = cli(
        "retrieve", "r.tif", "s.tif", "--dark", "dark.npy", "--flat", "flat.npy", "--roi", "4:44,:50",
        "--option", "dark_field=true", "--workers", 1,
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "umpa, exposures 3, window_px 9" in done.out
    with h5py.File("s-retrieved.h5") as file:
        assert file["entry/data/dx"].shape == (1, 40, 50)
        assert np.median(file["entry/data/dx"]) == pytest.approx(0.6, abs=0.01)
        assert np.median(file["entry/data/dark_field"]) == pytest.approx(1.0, abs=0.02)


def test_a_data_set(tiny, cli, tmp_path):
    out = tmp_path / "out.h5"
    done = cli("retrieve", tiny, "--method", "lcs", "--window", 7, "-o", out, "--pair", 2, "--pair", -1)
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 2
    with h5py.File(out) as file, h5py.File(tiny) as source:
        assert f"{out}: pair {len(source['entry/data/dx']) - 1}: lcs" in done.out
        assert file["entry/data/phase"].shape == (2, 32, 32)
        setup = Setup.from_toml(file["entry/setup/toml"].asstr()[()])
        assert setup == Setup.from_toml(source["entry/setup/toml"].asstr()[()])
    whole = cli("retrieve", tiny, "--method", "speckle-tie", "-o", tmp_path / "all.h5")
    assert whole.status == 0, whole.err
    assert whole.out.count("material al2o3") == 4


def test_what_is_read_is_not_written(tiny, files, cli):
    copy = files / "copy.h5"
    copy.write_bytes(tiny.read_bytes())
    assert "copy.h5 is read from" in cli("retrieve", copy, "-o", "copy.h5", "--overwrite").error
    assert "must end in .png" in cli("retrieve", copy, "-o", "x.h5", "--figure", copy).error
    assert copy.read_bytes() == tiny.read_bytes()


def test_the_list_of_methods(cli):
    done = cli("retrieve", "--methods")
    assert done.status == 0
    for name in method_names():
        assert f"\n{name} " in f"\n{done.out}"
    assert "exposures >= 2" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ref.tif", "missing.tif"), "missing.tif: No such file"),
        (("ref.tif", "small.npy"), "ref.tif and small.npy: frames must be of one size"),
        (("ref.tif", "nan.npy"), "nan.npy: frame 0 must be finite"),
        (("ref.tif", "flat.npy"), "sample must show speckle, but exposure 0 is constant"),
        (("ref.tif", "empty.tif"), "empty.tif: the file is empty"),
        (("ref.tif", "sample.tif", "--method", "umpaa"), "unknown method 'umpaa'; did you mean 'umpa'?"),
        (("ref.tif", "sample.tif", "--window", "49"), "window must not exceed the frame of 48 × 60 pixels"),
        (("ref.tif", "sample.tif", "--method", "mist"), "method 'mist' needs a setup"),
        (("ref.tif", "sample.tif", "--method", "flow-tvl1", "--window", "5"), "has no option 'window'"),
        (("ref.tif", "sample.tif", "--option", "windows=5"), "method 'umpa' has no option 'windows'"),
        (("ref.tif", "sample.tif", "--roi", "50:60,:"), "--roi leaves nothing of a frame of (48, 60)"),
        (("ref.tif", "sample.tif", "--setup", "nosuch"), "unknown setup 'nosuch'"),
        (("pairs.h5",), "pairs.h5: No such file"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(files, cli, arguments, message):
    np.save("small.npy", np.ones((32, 32)))
    np.save("nan.npy", np.full((48, 60), np.nan))
    np.save("flat.npy", np.ones((48, 60)))
    (files / "empty.tif").touch()
    before = set(files.iterdir())
    assert message in cli("retrieve", *arguments).error
    assert set(files.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a data set, or a reference and a sample, got 0 files"),
        (("a", "b", "c"), "got 3 files"),
        (("ref.tif",), "ref.tif is no data set: give the file of a reference, and that of a sample"),
        (("pairs.h5", "--setup", "imbl-28kev"), "--setup goes with two files of images"),
        (("pairs.h5", "--flat", "f.tif"), "--flat goes with two files of images"),
        (("ref.tif", "sample.tif", "--pair", "0"), "--pair goes with a data set"),
        (("ref.tif", "sample.tif", "--set", "detector.rows=64"), "--set needs --setup"),
        (("ref.tif", "sample.tif", "--roi", "3"), "must be ROWS,COLUMNS"),
        (("ref.tif", "sample.tif", "--roi", "a:b,c:d"), "must be ROWS,COLUMNS"),
        (("ref.tif", "sample.tif", "--option", "x"), "must be NAME=VALUE"),
    ],
)
def test_wrong_usage(files, cli, arguments, message):
    done = cli("retrieve", *arguments)
    assert done.status == 2
    assert message in done.err


def test_a_pair_that_is_not_there(tiny, cli, tmp_path):
    done = cli("retrieve", tiny, "--pair", 4, "-o", tmp_path / "out.h5")
    assert done.status == 2
    assert "must lie within -4..3, got 4" in done.err
    assert list(tmp_path.iterdir()) == []


def test_patterns_stand_for_the_exposures(files, cli):
    for number in range(3):
        tifffile.imwrite(f"Ref_Y{number:02d}.tif", 100 + speckle(number))
        tifffile.imwrite(f"SAMPLE_Y{number:02d}_T0.tif", 100 + shifted(speckle(number), 0.6, 0))
        tifffile.imwrite(f"Dark_Y{number:02d}.tif", np.full(speckle().shape, 99 + number, np.uint16))
    given = ("retrieve", "Ref_Y*.tif", "SAMPLE_Y*_T0.tif", "--dark", "Dark_Y*.tif", "--workers", 1)
    done = cli(*given)
    assert done.status == 0, done.err
    assert done.out.startswith("SAMPLE_Y_T0-retrieved.h5: pair 0: umpa, exposures 3")
    with h5py.File("SAMPLE_Y_T0-retrieved.h5") as file:
        assert np.median(file["entry/data/dx"]) == pytest.approx(0.6, abs=0.01)
    done = cli("retrieve", "Ref_Y*.tif", "none_*.tif")
    assert done.status == 1
    assert done.error == "Error: none_*.tif: no file is of this pattern"
