"""Reading: a sequence of pairs, and nothing but what the file itself holds."""

import json
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

from specksim.dataset import SpeckleDataset, open_dataset

FIELDS = ("reference", "sample", "dx", "dy", "phase", "transmission", "valid")


# ---- a sequence -------------------------------------------------------------------------------------


def test_a_data_set_is_a_sequence(tiny):
    with open_dataset(tiny) as dataset:
        assert isinstance(dataset, SpeckleDataset)
        assert len(dataset) == 5
        assert dataset[-1].index == 4
        assert dataset[-5].index == 0
        assert [pair.index for pair in dataset] == [0, 1, 2, 3, 4]
        assert [pair.index for pair in dataset[1:4]] == [1, 2, 3]
        assert [pair.index for pair in dataset[::-2]] == [4, 2, 0]
        assert dataset[7:] == []


@pytest.mark.parametrize("row", [5, -6, 100])
def test_pairs_beyond_the_end_do_not_exist(row, tiny):
    with open_dataset(tiny) as dataset, pytest.raises(IndexError, match=f"pair {row} of a data set of 5"):
        dataset[row]


def test_a_pair_holds_what_is_stored(tiny):
    with h5py.File(tiny, "r") as file, open_dataset(tiny) as dataset:
        pair = dataset[3]
        for name in FIELDS:
            stored = file["entry/data"][name][3]
            assert np.array_equal(getattr(pair, name), stored)
            assert getattr(pair, name).dtype == stored.dtype
        assert pair.scene == json.loads(file["entry/parameters/scene"][3])
        assert np.array_equal(pair.step_offset_px, file["entry/parameters/step_offset"][3])


def test_a_data_set_knows_its_request(tiny, tiny_setup):
    with open_dataset(str(tiny)) as dataset:
        assert dataset.request.setup == tiny_setup
        assert dataset.request.materials == ("nylon", "pmma", "al2o3")
        assert (dataset.request.seed, dataset.request.steps, dataset.request.split) == (4, 2, "training")


def test_columns_are_text_or_numbers(tiny):
    with open_dataset(tiny) as dataset:
        assert dataset.column("geometry").tolist() == ["sphere"] * 5
        assert dataset.column("index").dtype == np.int64
        with pytest.raises(ValueError, match=r"tiny.h5: .*nonsense is missing"):
            dataset.column("nonsense")


def test_a_pickled_data_set_opens_the_file_again(tiny):
    with open_dataset(tiny, verify=True) as dataset, pickle.loads(pickle.dumps(dataset)) as other:
        assert other._file is not dataset._file
        assert other._verify
        assert np.array_equal(other[2].sample, dataset[2].sample)


def test_a_closed_data_set_says_so(tiny):
    with open_dataset(tiny) as dataset:
        pass
    with pytest.raises(ValueError, match=r"tiny.h5"):
        dataset[0]


def test_the_file_is_only_read(tiny):
    before = tiny.read_bytes()
    with open_dataset(tiny) as dataset:
        dataset[0].dx[:] = 7
        assert dataset[0].dx.max() < 7
    assert tiny.read_bytes() == before


# ---- damaged data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIELDS)
def test_verify_catches_a_flipped_byte(name, copy):
    with h5py.File(copy, "r") as file:
        stored = file["entry/data"][name].id.get_chunk_info(2)
        row = stored.chunk_offset[0]
    damaged = bytearray(copy.read_bytes())
    damaged[stored.byte_offset + 100] ^= 16
    copy.write_bytes(damaged)
    with open_dataset(copy) as dataset:
        dataset[row]  # not asked for
    with open_dataset(copy, verify=True) as dataset:
        with pytest.raises(ValueError, match=rf"copy.h5: pair {row}, {name}: the checksum does not match"):
            dataset[row]
        dataset[4 if row != 4 else 0]


def test_text_is_not_a_data_set(tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("not HDF5 at all\n" * 200)
    _refused(path, "not an HDF5 file")


def test_an_empty_file_is_not_a_data_set(tmp_path):
    path = tmp_path / "x.h5"
    path.touch()
    _refused(path, "not an HDF5 file")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(share, copy):
    os.truncate(copy, int(share * copy.stat().st_size))
    _refused(copy, "not an HDF5 file, or damaged")


def test_another_hdf5_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["entry/data/data"] = np.zeros((4, 4))
    _refused(tmp_path / "x.h5", "not a specksim data set")


def test_a_missing_file_is_the_systems_word(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        open_dataset(tmp_path / "none.h5")
    assert str(tmp_path / "none.h5") in str(caught.value)


def test_a_directory_is_the_systems_word(tmp_path):
    with pytest.raises(IsADirectoryError):
        open_dataset(tmp_path)


# ---- files of another make --------------------------------------------------------------------------


def test_an_unknown_version_is_refused(copy, opened):
    opened.attrs["schema_version"] = 99
    opened.close()
    _refused(copy, "schema version 99 is not the supported 1")


@pytest.mark.parametrize("path", [*(f"data/{n}" for n in FIELDS), "parameters/scene", "parameters/crc32_dx"])
def test_a_missing_field_is_named(path, copy, opened):
    del opened[f"entry/{path}"]
    opened.close()
    _refused(copy, f"/entry/{path} is missing")


@pytest.mark.parametrize("path", ["/entry", "/entry/data", "/entry/parameters", "/entry/setup"])
def test_a_missing_group_is_refused(path, copy, opened):
    del opened[path]
    opened.close()
    _refused(copy, "is missing")


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("dx", (5, 32, 40), "float64"),
        ("dx", (5, 32, 40), ">f4"),
        ("sample", (5, 2, 32, 40), "int16"),
        ("valid", (5, 32, 40), "bool"),
        ("dx", (5, 40, 32), "float32"),
        ("dx", (4, 32, 40), "float32"),
        ("dx", (), "float32"),
        ("reference", (5, 32, 40), "uint16"),
        ("sample", (5, 3, 32, 40), "uint16"),
    ],
)
def test_a_field_of_another_type_or_shape_is_refused(name, shape, dtype, copy, opened):
    del opened["entry/data"][name]
    opened["entry/data"].create_dataset(name, shape, dtype)
    opened.close()
    _refused(copy, f"{name} must be")


@pytest.mark.parametrize("name", ["scene", "crc32_phase", "step_offset", "geometry"])
def test_a_column_of_another_length_is_refused(name, copy, opened):
    column = opened["entry/parameters"][name]
    dtype, shape = column.dtype, column.shape
    del opened["entry/parameters"][name]
    opened["entry/parameters"].create_dataset(name, (4, *shape[1:]), dtype)
    opened.close()
    _refused(copy, f"{name} must have 5 rows")


def test_a_request_that_is_none_is_refused(copy, opened):
    del opened["entry/setup/request"]
    opened["entry/setup/request"] = "[]"
    opened.close()
    _refused(copy, "not a request")


# ---- data outside of the file -----------------------------------------------------------------------

LINKED = ["entry", "entry/data", "entry/data/dx", "entry/parameters", "entry/parameters/scene"]


@pytest.mark.parametrize("path", [*LINKED, "entry/setup/request", "entry/parameters/crc32_dx"])
def test_external_links_are_refused(path, copy, opened):
    shutil.copy(copy, copy.with_name("other.h5"))
    del opened[path]
    opened[path] = h5py.ExternalLink("other.h5", f"/{path}")
    opened.close()
    _refused(copy, "is a link, which is refused")


@pytest.mark.parametrize("path", LINKED)
def test_soft_links_are_refused(path, copy, opened):
    opened.move(path, "elsewhere")
    opened[path] = h5py.SoftLink("/elsewhere")
    opened.close()
    _refused(copy, "is a link, which is refused")


def test_virtual_data_sets_are_refused(copy, opened):
    shutil.copy(copy, copy.with_name("other.h5"))
    del opened["entry/data/dx"]
    layout = h5py.VirtualLayout((5, 32, 40), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "entry/data/dx", (5, 32, 40))
    opened["entry/data"].create_virtual_dataset("dx", layout)
    opened.close()
    _refused(copy, "dx keeps its data outside of the file")


def test_external_raw_storage_is_refused(copy, opened, tmp_path):
    (tmp_path / "raw").write_bytes(bytes(5 * 32 * 40 * 4))
    del opened["entry/data/dx"]
    external = [(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)]
    opened["entry/data"].create_dataset("dx", (5, 32, 40), "float32", external=external)
    opened.close()
    _refused(copy, "dx keeps its data outside of the file")


def test_a_group_in_place_of_a_field_is_refused(copy, opened):
    del opened["entry/data/dx"]
    opened["entry/data"].create_group("dx")
    opened.close()
    _refused(copy, "dx must be a data set")


def _refused(path, words):
    with pytest.raises(ValueError) as caught:
        open_dataset(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_verify_covers_the_parameters(copy):
    with h5py.File(copy, "r+") as file:
        scene = file["entry/parameters/scene"].asstr()[2]
        file["entry/parameters/scene"][2] = scene.replace("radius_um", "radius_mm")
    with open_dataset(copy, verify=True) as dataset:
        dataset[1]
        with pytest.raises(ValueError, match=r"copy\.h5: pair 2, parameters: the checksum does not match"):
            dataset[2]


@pytest.mark.parametrize("name", ["setup/versions", "setup/content_hash", "start_time"])
def test_provenance_stays_in_the_file(name, copy, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["value"] = "{}"
    with h5py.File(copy, "r+") as file:
        del file["entry"][name]
        file["entry"][name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/value")
    with open_dataset(copy) as dataset, pytest.raises(ValueError, match="a link, which is refused"):
        dataset.provenance()


@pytest.mark.parametrize("change", [{"geometries": []}, {"seed": "1"}, {"steps": 0}, {"materials": [3]}])
def test_a_request_out_of_range_is_refused(change, copy):
    with h5py.File(copy, "r+") as file:
        request = json.loads(file["entry/setup/request"][()])
        del file["entry/setup/request"]
        file["entry/setup/request"] = json.dumps(request | change)
    with pytest.raises(ValueError, match=r"copy\.h5: \w+ must be "):
        open_dataset(copy)


def test_verify_covers_the_request(copy):
    with h5py.File(copy, "r+") as file:
        text = file["entry/setup/request"][()].decode()
        del file["entry/setup/request"]
        file["entry/setup/request"] = text.replace("psf_sigma_px = 0.5", "psf_sigma_px = 0.6")
    with open_dataset(copy) as dataset:
        assert dataset.request.setup.detector.psf_sigma_px == 0.6  # not asked for
    with pytest.raises(ValueError, match=r"copy\.h5: the content hash does not match"):
        open_dataset(copy, verify=True)
