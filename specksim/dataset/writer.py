"""Writing of data sets: a shard at a time, and shards into one file.

A file is written under a name of its own and moved to its place when it is complete, so that a file under
the target's name is complete.
"""

import contextlib
import datetime
import hashlib
import json
import os
import platform
import zlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from specksim import materials
from specksim.dataset import schema
from specksim.forward import SpecklePair
from specksim.request import Request

_VERSIONS = ("specksim", "numpy", "scipy", "numba", "xraylib", "h5py")


@contextlib.contextmanager
def complete_file(target: Path, part: Path) -> Iterator[h5py.File]:
    """Open `part` for writing; on success move it to `target`, on any failure remove it.

    Raises
    ------
    FileExistsError
        If `part` exists: another run is writing it, or was killed.
    """
    file = h5py.File(part, "x")
    try:
        yield file
        file.close()
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(target)
    except BaseException:
        # closing flushes, and fails again where the disk is full; what counts is the first failure
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            file.close()
        part.unlink(missing_ok=True)
        raise


def create_layout(file: h5py.File, request: Request, n: int, compression: str) -> None:
    """Create the groups, attributes and empty data sets of a file of `n` pairs."""
    setup = request.setup
    file.attrs.update(NX_class="NXroot", default="entry", schema_version=schema.VERSION)
    entry = _group(file, "/entry", "NXentry", default="data")
    entry["title"] = f"{request.describe()}, {n} pairs"
    entry["program_name"] = schema.PROGRAM
    entry["program_name"].attrs["version"] = version("specksim")
    entry["start_time"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    data = _group(file, schema.DATA, "NXdata", signal=schema.SIGNAL)
    data.attrs["auxiliary_signals"] = list(schema.AUXILIARY)
    for field in schema.fields(setup):
        row = schema.row_shape(field, setup, request.steps)
        chunk = (1,) * (1 + len(row) - 2) + row[-2:]
        stored = data.create_dataset(
            field.name, (n, *row), field.dtype, chunks=chunk, **_filters(compression)
        )
        stored.attrs.update(units=field.units, long_name=field.long_name, interpretation="image")
    parameters = _group(file, schema.PARAMETERS, "NXcollection")
    text = h5py.string_dtype("utf-8")
    for name, dtype in (("geometry", text), ("material", text), ("scene", text), ("index", np.int64)):
        parameters.create_dataset(name, (n,), dtype)
    offset = parameters.create_dataset("step_offset", (n, request.steps, 2), np.float64)
    offset.attrs.update(
        units="pixel", long_name="offset (rows, columns) of the sandpaper from its first place"
    )
    for field in schema.fields(setup):
        parameters.create_dataset(schema.checksum_name(field.name), (n,), np.uint32)
    _write_setup(_group(file, schema.SETUP, "NXcollection"), request)


def _write_setup(group: h5py.Group, request: Request) -> None:
    setup = request.setup
    group["toml"] = setup.to_toml()
    group["request"] = request.to_json()
    group["seed"] = np.int64(request.seed)
    group["versions"] = json.dumps(
        {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}}
    )
    names = list(request.materials)
    constants = [materials.refractive_index(name, setup.beam.energy_kev) for name in names]
    diffuser = setup.diffuser
    names.append(f"diffuser: {diffuser.material}")
    constants.append(
        materials.refractive_index(diffuser.material, setup.beam.energy_kev, diffuser.density_g_cm3)
    )
    group["materials"] = np.array(names, h5py.string_dtype("utf-8"))
    group["delta"], group["beta"] = np.array(constants).T


def write_pair(file: h5py.File, row: int, pair: SpecklePair) -> None:
    """Write one pair, with a checksum for each of its fields."""
    data, parameters = file[schema.DATA], file[schema.PARAMETERS]
    for name in data:
        values = np.ascontiguousarray(getattr(pair, name))
        data[name][row] = values
        parameters[schema.checksum_name(name)][row] = zlib.crc32(values.tobytes())
    parameters["geometry"][row] = pair.scene["geometry"]
    parameters["material"][row] = pair.scene["material"]
    parameters["scene"][row] = json.dumps(pair.scene, allow_nan=False)
    parameters["index"][row] = pair.index
    parameters["step_offset"][row] = pair.step_offset_px


def seal(file: h5py.File) -> None:
    """Write the content hash over the request and all checksums: equal for equal data."""
    parameters = file[schema.PARAMETERS]
    digest = hashlib.sha256(file[schema.SETUP]["request"][()])
    for name in sorted(name for name in parameters if name.startswith("crc32_")):
        digest.update(parameters[name][()].astype("<u4").tobytes())
    file[schema.SETUP]["content_hash"] = digest.hexdigest()


def merge(file: h5py.File, shards: Sequence[Path], request: Request, n: int, compression: str) -> None:
    """Fill a file from its shards: images as they are stored, chunk by chunk, parameters rewritten."""
    create_layout(file, request, n, compression)
    row = 0
    for path in shards:
        with h5py.File(path, "r") as shard:
            count = len(shard[schema.PARAMETERS]["index"])
            for name, source in shard[schema.DATA].items():
                _copy_chunks(source, file[schema.DATA][name], row)
            for name, column in shard[schema.PARAMETERS].items():
                file[schema.PARAMETERS][name][row : row + count] = column[()]
            row += count
    seal(file)


def _copy_chunks(source: h5py.Dataset, target: h5py.Dataset, row: int) -> None:
    for k in range(source.id.get_num_chunks()):
        info = source.id.get_chunk_info(k)
        mask, chunk = source.id.read_direct_chunk(info.chunk_offset)
        first, *rest = info.chunk_offset
        target.id.write_direct_chunk((first + row, *rest), chunk, mask)


def _group(file: h5py.File, path: str, nx_class: str, **attributes: Any) -> h5py.Group:
    group = file.create_group(path)
    group.attrs.update(NX_class=nx_class, **attributes)
    return group


def _filters(compression: str) -> dict[str, Any]:
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    if compression == "bitshuffle":
        return dict(hdf5plugin.Bitshuffle(cname="lz4"))
    return {}
