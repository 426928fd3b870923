"""The file, item by item as the contract lists it, and how it comes to its place."""

import hashlib
import json
import math
import zlib
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

import specksim
from specksim.dataset import open_dataset, writer
from specksim.request import Request

N, K, H, W = 5, 2, 32, 40
LAYOUT = {
    "reference": ((N, K, H, W), "uint16", "counts"),
    "sample": ((N, K, H, W), "uint16", "counts"),
    "dx": ((N, H, W), "float32", "pixel"),
    "dy": ((N, H, W), "float32", "pixel"),
    "phase": ((N, H, W), "float32", "radian"),
    "transmission": ((N, H, W), "float32", ""),
    "valid": ((N, H, W), "uint8", ""),
}


@pytest.fixture(scope="module")
def file(tiny):
    with h5py.File(tiny, "r") as opened:
        yield opened


# ---- layout -----------------------------------------------------------------------------------------


def test_groups_are_nexus_classes_with_defaults(file):
    assert file.attrs["NX_class"] == "NXroot"
    assert file.attrs["default"] == "entry"
    assert file["entry"].attrs["NX_class"] == "NXentry"
    assert file["entry"].attrs["default"] == "data"
    data = file["entry/data"]
    assert data.attrs["NX_class"] == "NXdata"
    assert data.attrs["signal"] == "sample"
    assert list(data.attrs["auxiliary_signals"]) == ["reference"]


def test_the_entry_says_what_and_when(file):
    entry = file["entry"]
    assert "5 pairs" in entry["title"].asstr()[()]
    assert entry["program_name"].asstr()[()] == "specksim"
    assert entry["program_name"].attrs["version"] == specksim.__version__
    assert datetime.fromisoformat(entry["start_time"].asstr()[()]).tzinfo is not None


def test_the_fields_are_exactly_those_of_the_contract(file):
    assert set(file["entry/data"]) == set(LAYOUT)


@pytest.mark.parametrize("name", LAYOUT)
def test_a_field_has_its_shape_type_chunk_and_attributes(name, file):
    shape, dtype, units = LAYOUT[name]
    stored = file["entry/data"][name]
    assert stored.shape == shape
    assert stored.dtype == dtype
    assert stored.chunks == (1,) * (len(shape) - 2) + (H, W)
    assert stored.compression is None
    assert stored.attrs["units"] == units
    assert stored.attrs["interpretation"] == "image"
    assert stored.attrs["long_name"]


@pytest.mark.parametrize(
    ("photons", "dtype", "units"), [(1e5, "uint32", "counts"), (math.inf, "float32", "relative")]
)
def test_images_become_wider_with_the_photons(photons, dtype, units, tiny_setup, tmp_path):
    setup = tiny_setup.with_values(detector__photons_per_pixel=photons)
    specksim.generate(tmp_path / "x.h5", setup, n=1)
    with h5py.File(tmp_path / "x.h5", "r") as made:
        for name in ("reference", "sample"):
            stored = made["entry/data"][name]
            assert (stored.dtype, stored.attrs["units"]) == (dtype, units)
            assert stored[()].mean() == pytest.approx(1.0 if units == "relative" else photons, rel=0.3)


def test_parameters_hold_a_row_a_pair(file):
    parameters = file["entry/parameters"]
    assert {"geometry", "material", "scene", "index", "step_offset"} < set(parameters)
    assert all(len(column) == N for column in parameters.values())
    assert parameters["step_offset"].shape == (N, K, 2)
    assert parameters["index"][()].tolist() == list(range(N))
    assert list(parameters["geometry"].asstr()[()]) == ["sphere"] * N
    assert list(parameters["material"].asstr()[()]) == ["nylon", "pmma", "al2o3", "nylon", "pmma"]
    for text in parameters["scene"].asstr()[()]:
        assert json.loads(text)["geometry"] == "sphere"


@pytest.mark.parametrize("name", LAYOUT)
def test_checksums_are_crc32_of_the_stored_row(name, file):
    stored = file["entry/data"][name]
    sums = file["entry/parameters"][f"crc32_{name}"][()].tolist()
    assert sums == [zlib.crc32(stored[row].tobytes()) for row in range(N)]


def test_the_setup_is_written_in_full(file, tiny_setup):
    group = file["entry/setup"]
    text = group["toml"].asstr()[()]
    assert specksim.Setup.from_toml(text) == tiny_setup
    assert group["seed"][()] == 4
    assert Request.from_json(group["request"].asstr()[()]).setup == tiny_setup
    versions = json.loads(group["versions"].asstr()[()])
    assert {"python", "specksim", "numpy", "numba", "xraylib", "h5py"} <= set(versions)
    assert versions["specksim"] == specksim.__version__


def test_optical_constants_are_those_used(file):
    group = file["entry/setup"]
    names = list(group["materials"].asstr()[()])
    assert names == ["nylon", "pmma", "al2o3", "diffuser: SiC"]
    expected = [specksim.refractive_index(name, 28.0) for name in names[:3]]
    expected.append(specksim.refractive_index("SiC", 28.0, 3.21))
    np.testing.assert_array_equal(np.stack([group["delta"], group["beta"]], axis=1), expected)


def test_the_content_hash_is_a_sha256(file):
    assert len(bytes.fromhex(file["entry/setup/content_hash"].asstr()[()])) == hashlib.sha256().digest_size


def test_any_hdf5_library_can_read_the_file(tiny):
    # version 0 of the superblock is what HDF5 1.0 wrote; libver="latest" would write 2 or 3
    head = tiny.read_bytes()[:9]
    assert head[:8] == b"\x89HDF\r\n\x1a\n"
    assert head[8] == 0


@pytest.mark.parametrize("compression", ["gzip", "bitshuffle"])
def test_compression_is_a_filter_of_every_field(compression, tiny_setup, tmp_path):
    specksim.generate(tmp_path / "x.h5", tiny_setup, n=1, compression=compression)
    with h5py.File(tmp_path / "x.h5", "r") as made:
        for stored in made["entry/data"].values():
            if compression == "gzip":
                assert stored.compression == "gzip"
            else:
                assert "32008" in stored._filters  # HDF5's registered number of bitshuffle


# ---- complete files ---------------------------------------------------------------------------------


def test_a_file_appears_when_it_is_complete(tmp_path):
    target, part = tmp_path / "x.h5", tmp_path / "x.h5.part"
    with writer.complete_file(target) as file:
        file.hdf5["value"] = 3
        assert part.exists()
        assert not target.exists()
    assert not part.exists()
    with h5py.File(target, "r") as made:
        assert made["value"][()] == 3


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError])
def test_a_failure_leaves_neither_part_nor_target(error, tmp_path):
    target, part = tmp_path / "x.h5", tmp_path / "x.h5.part"
    target.write_text("old")

    def fail() -> None:
        with writer.complete_file(target) as file:
            file.hdf5["value"] = 3
            raise error

    with pytest.raises(error):
        fail()
    assert not part.exists()
    assert target.read_text() == "old"


def test_the_part_of_a_killed_process_is_replaced(tmp_path):
    (tmp_path / "x.h5.part").write_text("half")
    with writer.complete_file(tmp_path / "x.h5") as file:
        file.hdf5["value"] = 3
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_a_failed_write_is_raised_and_nothing_stays(tmp_path, monkeypatch):
    class Full(writer._GuardedFile):
        def write(self, data):
            self.failure = self.failure or OSError(28, "No space left on device")
            return len(data)

    monkeypatch.setattr(writer, "_GuardedFile", Full)

    def fill() -> None:
        with writer.complete_file(tmp_path / "x.h5") as file:
            file.hdf5["value"] = np.zeros(1000)
            file.hdf5.flush()
            file.raise_failure()

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_merging_rewrites_nothing_but_the_place(tiny, tiny_setup, tmp_path):
    # one shard of five pairs holds the same data as two merged ones: the request differs by its shards alone
    whole = tiny_setup.with_values(numerics__pairs_per_field=5)
    specksim.generate(tmp_path / "x.h5", whole, material="mixed", geometries=["sphere"], n=5, steps=2, seed=4)
    with open_dataset(tmp_path / "x.h5") as one, open_dataset(tiny) as two:
        for row in range(3):  # pairs 0 to 2 share shard 0, and its field, in both
            assert np.array_equal(one[row].reference, two[row].reference)
            assert one[row].scene == two[row].scene


def test_the_content_hash_follows_the_data(tiny_setup, tmp_path):
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        path: Path = specksim.generate(tmp_path / f"{name}.h5", tiny_setup, n=1, seed=seed)
        with open_dataset(path) as dataset:
            hashes.append(dataset.provenance()["content_hash"])
    assert hashes[0] == hashes[1] != hashes[2]
