"""A retrieval and its file."""

import h5py
import numpy as np
import pytest

from specksim.retrieval import Retrieval, write_retrieval
from specksim.setups import Setup


def retrieval(shape=(6, 8), value=0.5, phase=True, **parameters):
    return Retrieval(
        np.full(shape, value, np.float32),
        np.full(shape, -value, np.float32),
        np.ones(shape, np.float32),
        phase=np.full(shape, -3.0, np.float32) if phase else None,
        method="trial",
        parameters=parameters,
    )


def test_file_follows_nexus(tmp_path):
    path = tmp_path / "out.h5"
    assert write_retrieval(path, retrieval(window=5, note="ok", domain=[1, 2]), Setup()) == 1
    with h5py.File(path) as file:
        assert file.attrs["default"] == "entry"
        assert file["entry"].attrs["default"] == "data"
        assert file["entry"].attrs["NX_class"] == "NXentry"
        data = file["entry/data"]
        assert data.attrs["NX_class"] == "NXdata"
        assert data.attrs["signal"] == "dx"
        assert set(data) == {"dx", "dy", "phase", "quality"}
        assert set(data.attrs["auxiliary_signals"]) == {"dy", "phase", "quality"}
        assert data["dx"].shape == (1, 6, 8)
        assert data["dx"].dtype == np.float32
        assert {name: data[name].attrs["units"] for name in data} == {
            "dx": "pixel", "dy": "pixel", "phase": "radian", "quality": "",
        }  # fmt: skip
        np.testing.assert_array_equal(data["dy"], -0.5)
        assert Setup.from_toml(file["entry/setup/toml"].asstr()[()]) == Setup()
        assert file["entry/parameters/method"].asstr()[0] == "trial"
        assert file["entry/parameters/window"][0] == 5
        assert file["entry/parameters/note"].asstr()[0] == "ok"
        assert file["entry/parameters/domain"].asstr()[0] == "[1, 2]"


def test_series_is_streamed(tmp_path):
    path = tmp_path / "series.h5"
    assert write_retrieval(path, (retrieval(value=k, k=k) for k in range(4))) == 4
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/dx"][:, 0, 0], range(4))
        np.testing.assert_array_equal(file["entry/parameters/k"], range(4))
        assert "setup" not in file["entry"]


def test_nothing_stays_of_a_failure(tmp_path):
    def broken():
        yield retrieval()
        raise RuntimeError("out of beam")

    with pytest.raises(RuntimeError, match="out of beam"):
        write_retrieval(tmp_path / "out.h5", broken())
    assert list(tmp_path.iterdir()) == []


def test_file_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "out.h5"
    write_retrieval(path, retrieval())
    with pytest.raises(FileExistsError, match="overwrite"):
        write_retrieval(path, retrieval())
    write_retrieval(path, retrieval(value=2.0), overwrite=True)
    with h5py.File(path) as file:
        assert file["entry/data/dx"][0, 0, 0] == 2.0
    path.with_name("out.h5.part").touch()
    with pytest.raises(FileExistsError, match="another run"):
        write_retrieval(path, retrieval(), overwrite=True)


@pytest.mark.parametrize("second", [retrieval(shape=(6, 9)), retrieval(phase=False)])
def test_series_of_unlike_retrievals(tmp_path, second):
    with pytest.raises(ValueError, match="retrieval 1 must have the maps dx, dy, phase, quality"):
        write_retrieval(tmp_path / "out.h5", [retrieval(), second])
    assert list(tmp_path.iterdir()) == []


def test_no_retrieval(tmp_path):
    with pytest.raises(ValueError, match="no retrieval"):
        write_retrieval(tmp_path / "out.h5", [])


@pytest.mark.parametrize("shapes", [((4, 4), (4, 5)), ((4,), (4,))])
def test_maps_of_one_shape(shapes):
    first, second = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="one shape"):
        Retrieval(first, second, first, method="trial")
