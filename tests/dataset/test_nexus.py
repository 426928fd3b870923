"""The file opens to a picture in silx and in NeXpy's library."""

import h5py
import numpy as np
import pytest
from nexusformat.nexus import nxload
from silx.io import nxdata


def test_silx_finds_the_default_plot(tiny):
    with h5py.File(tiny, "r") as file:
        data = nxdata.get_default(file)
        assert data is not None
        assert data.is_valid
        assert data.group.name == "/entry/data"
        assert data.signal_dataset_name == "sample"
        assert data.interpretation == "image"
        assert data.is_image or data.is_stack
        assert data.signal.shape == (5, 2, 32, 40)
        assert data.auxiliary_signals_dataset_names == ["reference"]
        assert data.auxiliary_signals[0].shape == data.signal.shape


def test_silx_takes_the_long_names_as_titles(tiny):
    with h5py.File(tiny, "r") as file:
        data = nxdata.get_default(file)
        assert data.signal_name == "sample image"
        assert data.auxiliary_signals_names == ["reference image"]


def test_nexusformat_finds_the_default_plot(tiny):
    root = nxload(tiny)
    data = root.get_default()
    assert data.nxpath == "/entry/data"
    assert data.nxsignal.nxname == "sample"
    assert data.plottable_data is not None
    assert data.plot_shape == (5, 2, 32, 40)


@pytest.mark.parametrize("name", ["reference", "sample", "dx", "valid"])
def test_nexusformat_reads_values_and_units(name, tiny):
    field = nxload(tiny)["entry/data"][name]
    with h5py.File(tiny, "r") as file:
        assert np.array_equal(field[0].nxvalue, file["entry/data"][name][0])
        assert field.attrs["units"] == file["entry/data"][name].attrs["units"]


def test_nexusformat_knows_the_classes(tiny):
    root = nxload(tiny)
    assert root.nxclass == "NXroot"
    assert root["entry"].nxclass == "NXentry"
    assert root["entry/parameters"].nxclass == "NXcollection"
    assert root["entry/setup"].nxclass == "NXcollection"
