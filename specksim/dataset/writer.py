"""Writing of data sets: a shard at a time, and shards into one file.

A file is written under a name of its own and moved to its place when it is complete, so that a file under
the target's name is complete.
"""

import contextlib
import datetime
import io
import json
import os
import platform
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from specksim import materials
from specksim.dataset import schema
from specksim.forward import SpecklePair
from specksim.request import Request

_TO_DISK_SECONDS = 0.25
_DATA_TO_DISK = getattr(os, "fdatasync", os.fsync)
_VERSIONS = ("specksim", "numpy", "scipy", "numba", "xraylib", "h5py")


class _GuardedFile(io.FileIO):
    """A file that reports every write to HDF5 as done and keeps the first failure for us to raise.

    Told of a full disk, the HDF5 library tries to flush each of its open objects again, fails again, and
    may crash.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = self.failure or error
            return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def keep_on_disk(self, ended: threading.Event) -> None:
        """Bring to the disk what has been written, again and again, so that little is left for the end."""
        wait = _TO_DISK_SECONDS
        while not ended.wait(wait):
            start = time.perf_counter()
            try:
                _DATA_TO_DISK(self.fileno())
            except OSError as error:  # which the system reports once
                self.failure = self.failure or error
            wait = max(_TO_DISK_SECONDS, time.perf_counter() - start)  # a slow disk has others to serve


class NewFile:
    """An HDF5 file that is being written under a name of its own. Made by `complete_file`."""

    def __init__(self, part: Path) -> None:
        self._guard = _GuardedFile(part, "x+b")
        self.hdf5 = h5py.File(self._guard, "w")
        self._ended = threading.Event()
        self._to_disk = threading.Thread(target=self._guard.keep_on_disk, args=(self._ended,), daemon=True)
        self._to_disk.start()

    def raise_failure(self) -> None:
        """Raise the first OSError that writing met, if any."""
        failure = self._guard.failure
        if failure is not None:
            raise OSError(failure.errno, failure.strerror, str(self._guard.name))

    def finish(self) -> None:
        """Close the file, all of it on the disk."""
        self.hdf5.close()
        self._end_thread()
        os.fsync(self._guard.fileno())
        self.raise_failure()
        self._guard.close()

    def abandon(self) -> None:
        """Close the file, whatever is in it."""
        try:
            self.hdf5.close()
        finally:
            self._end_thread()
            self._guard.close()

    def _end_thread(self) -> None:
        self._ended.set()
        self._to_disk.join()


@contextlib.contextmanager
def complete_file(target: Path, part: Path | None = None) -> Iterator[NewFile]:
    """Write a file as `part`, `NAME.part` unless given; on success move it to `target`, on failure remove it.

    Raises
    ------
    OSError
        If the file cannot be created or written.
    """
    part = part or part_path(target)
    part.unlink(missing_ok=True)  # of a process that was killed: a run holds a lock on its target
    file = NewFile(part)
    try:
        yield file
        file.finish()
        move(part, target)
    except BaseException:
        try:
            file.abandon()
        finally:
            part.unlink(missing_ok=True)
        raise


def move(part: Path, target: Path) -> None:
    """Give a file on the disk its name, so that it keeps it when the machine loses power."""
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def part_path(target: Path) -> Path:
    """Name under which a file is written until it is complete."""
    return target.with_name(f"{target.name}.part")


def create_layout(
    file: h5py.File, request: Request, n: int, compression: str, planned: int | None = None
) -> dict[str, h5py.Dataset]:
    """Create the groups, attributes and empty data sets of a file of `n` pairs, of `planned` in all.

    Returns the data sets of the fields, by name.
    """
    setup = request.setup
    file.attrs.update(NX_class="NXroot", default="entry", schema_version=schema.VERSION)
    entry = _group(file, "/entry", "NXentry", default="data")
    entry["title"] = f"{request.describe()}, {n} pairs"
    entry["program_name"] = schema.PROGRAM
    entry["program_name"].attrs["version"] = version("specksim")
    entry["start_time"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    data = _group(file, schema.DATA, "NXdata", signal=schema.SIGNAL)
    data.attrs["auxiliary_signals"] = list(schema.AUXILIARY)
    fields: dict[str, h5py.Dataset] = {}
    for field in schema.fields(setup):
        row = schema.row_shape(field, setup, request.steps)
        chunk = (1,) * (1 + len(row) - 2) + row[-2:]
        stored = data.create_dataset(
            field.name, (n, *row), field.dtype, chunks=chunk, **_filters(compression)
        )
        stored.attrs.update(units=field.units, long_name=field.long_name, interpretation="image")
        fields[field.name] = stored
    parameters = _group(file, schema.PARAMETERS, "NXcollection")
    text = h5py.string_dtype("utf-8")
    for name, dtype in (("geometry", text), ("material", text), ("scene", text), ("index", np.int64)):
        parameters.create_dataset(name, (n,), dtype)
    offset = parameters.create_dataset("step_offset", (n, request.steps, 2), np.float64)
    offset.attrs.update(
        units="pixel", long_name="offset (rows, columns) of the sandpaper from its first place"
    )
    for name in schema.checksummed(setup):
        parameters.create_dataset(schema.checksum_name(name), (n,), np.uint32)
    _write_setup(_group(file, schema.SETUP, "NXcollection"), request)
    file[schema.SETUP]["compression"] = compression
    file[schema.SETUP]["planned_pairs"] = np.int64(planned or n)
    return fields


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the data depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}}


def _write_setup(group: h5py.Group, request: Request) -> None:
    setup = request.setup
    group["toml"] = setup.to_toml()
    group["request"] = request.to_json()
    group["seed"] = np.int64(request.seed)
    group["versions"] = json.dumps(versions())
    names = list(request.materials)
    constants = [materials.refractive_index(name, setup.beam.energy_kev) for name in names]
    if not request.reference:
        diffuser = setup.diffuser
        names.append(f"diffuser: {diffuser.material}")
        constants.append(
            materials.refractive_index(diffuser.material, setup.beam.energy_kev, diffuser.density_g_cm3)
        )
    group["materials"] = np.array(names, h5py.string_dtype("utf-8"))
    group["delta"], group["beta"] = np.array(constants).T
    group["energy_kev"] = setup.beam.energy_kev
    group["energy_kev"].attrs["units"] = "keV"


def write_images(fields: Mapping[str, h5py.Dataset], row: int, pair: SpecklePair) -> dict[str, Any]:
    """Write one pair into the data sets of `create_layout`; return its row for `write_parameters`."""
    columns: dict[str, Any] = {
        "geometry": pair.scene["geometry"],
        "material": pair.scene["material"],
        "scene": json.dumps(pair.scene, allow_nan=False),
        "index": pair.index,
        "step_offset": pair.step_offset_px,
    }
    checksums = {schema.PARAMETER_CHECKSUM: schema.parameter_checksum(columns)}
    for name, stored in fields.items():
        values = getattr(pair, name)
        _write_row(stored, row, values)
        checksums[name] = schema.checksum(values)
    return columns | {schema.checksum_name(name): checksum for name, checksum in checksums.items()}


def _write_row(stored: h5py.Dataset, row: int, values: np.ndarray) -> None:
    """`stored[row] = values`; without compression frame by frame as they are, past all conversions."""
    if stored.id.get_create_plist().get_nfilters():
        stored[row] = values
        return
    frames = np.ascontiguousarray(values, stored.dtype)
    for step in np.ndindex(*frames.shape[:-2]):
        stored.id.write_direct_chunk((row, *step, 0, 0), frames[step])


def write_parameters(file: h5py.File, rows: Sequence[dict[str, Any]]) -> None:
    """Write the parameters of all pairs, a column at a time."""
    for name, column in file[schema.PARAMETERS].items():
        column[...] = [row[name] for row in rows]


def seal(file: h5py.File) -> None:
    """Write the content hash."""
    parameters = file[schema.PARAMETERS]
    checksums = {name: parameters[name][()] for name in parameters if schema.is_checksum(name)}
    file[schema.SETUP]["content_hash"] = schema.content_hash(file[schema.SETUP]["request"][()], checksums)


@dataclass(frozen=True)
class Rows:
    """Consecutive pairs in a finished file."""

    path: Path
    first: int
    count: int


def merge(new: NewFile, pieces: Iterable[Rows], request: Request, n: int, compression: str) -> None:
    """Fill a file from others: images as they are stored, chunk by chunk, parameters rewritten."""
    file, row = new.hdf5, 0
    fields = create_layout(file, request, n, compression)
    for piece in pieces:
        with h5py.File(piece.path, "r") as source:
            for name, images in source[schema.DATA].items():
                _copy_chunks(images, piece, fields[name], row)
            for name, column in source[schema.PARAMETERS].items():
                values = column[piece.first : piece.first + piece.count]
                file[schema.PARAMETERS][name][row : row + piece.count] = values
        new.raise_failure()
        row += piece.count
    seal(file)


def _copy_chunks(source: h5py.Dataset, piece: Rows, target: h5py.Dataset, row: int) -> None:
    """Copy the frames of some pairs, each a chunk, as they are stored."""
    steps = source.shape[1:-2]
    for pair in range(piece.count):
        for step in np.ndindex(*steps):
            mask, chunk = source.id.read_direct_chunk((piece.first + pair, *step, 0, 0))
            target.id.write_direct_chunk((row + pair, *step, 0, 0), chunk, mask)


def _group(file: h5py.File, path: str, nx_class: str, **attributes: Any) -> h5py.Group:
    group = file.create_group(path)
    group.attrs.update(NX_class=nx_class, **attributes)
    return group


def _filters(compression: str) -> dict[str, Any]:
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    if compression == "bitshuffle":
        import hdf5plugin  # takes its time

        return dict(hdf5plugin.Bitshuffle(cname="lz4"))
    return {}
