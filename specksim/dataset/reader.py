"""Reading of data sets: lazily, and nothing but what the file itself holds."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, overload

import h5py
import numpy as np

from specksim import notebook
from specksim.dataset import schema
from specksim.forward import SpecklePair
from specksim.request import Request

_PARAMETERS = ("geometry", "material", "scene", "index", "step_offset")


def open_dataset(path: str | os.PathLike[str], *, verify: bool = False) -> "SpeckleDataset":
    """Open a data set that `specksim generate` wrote.

    Parameters
    ----------
    path : path-like
    verify : bool
        Compare the content hash, which covers the request and all checksums, at once, and the checksum of
        every field and of the parameters when they are read.

    Returns
    -------
    SpeckleDataset
        A read-only sequence of `SpecklePair`; also a context manager.

    Raises
    ------
    ValueError
        If the file is not such a data set, is damaged, or refers to data outside of itself.
    OSError
        If the file does not exist or may not be read.

    Examples
    --------
    >>> with open_dataset("nylon.h5") as pairs:  # written by: specksim generate --n 4
    ...     len(pairs), pairs[0].dx.dtype, pairs[-1].scene["material"]
    (4, dtype('float32'), 'nylon')
    """
    return SpeckleDataset(Path(path), verify)


class SpeckleDataset:
    """A sequence of labelled pairs in a file. Made by `open_dataset`.

    Attributes
    ----------
    path : Path
    request : Request
        What was asked for: setup, materials, geometries, split, seed, steps.
    """

    def __init__(self, path: Path, verify: bool) -> None:
        self.path = path
        self._verify = verify
        with path.open("rb"):  # the system's own word where the file is missing or may not be read
            pass
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{path}: not an HDF5 file, or damaged: {error}") from None
        try:
            with self._reading("layout"):
                self._check_layout()
            if verify and self.provenance()["content_hash"] != self.expected_content_hash():
                raise ValueError(f"{path}: the content hash does not match request and checksums")
        except BaseException:
            self.close()
            raise

    def _check_layout(self) -> None:
        found = self._file.attrs.get("schema_version")
        if found is None:
            raise ValueError("not a specksim data set (no schema_version)")
        if found != schema.VERSION:
            raise ValueError(f"schema version {found} is not the supported {schema.VERSION}")
        text = _dataset(self._file, f"{schema.SETUP}/request")[()].decode()
        self.request = Request.from_json(text)
        self._length = len(_dataset(self._file, f"{schema.PARAMETERS}/index"))
        self._fields = schema.fields(self.request.setup)
        self._stored = {}  # opening a data set takes as long as reading a row of it
        for field in self._fields:
            stored = _dataset(self._file, f"{schema.DATA}/{field.name}")
            wanted = (self._length, *schema.row_shape(field, self.request.setup, self.request.steps))
            if stored.shape != wanted or stored.dtype != field.dtype:
                raise ValueError(
                    f"{field.name} must be {np.dtype(field.dtype)} of shape {wanted}, "
                    f"got {stored.dtype} of shape {stored.shape}"
                )
            self._stored[field.name] = stored
            _load_filters(stored)
        numbers: dict[str, Any] = {"index": np.int64, "step_offset": np.float64}
        numbers |= {schema.checksum_name(name): np.uint32 for name in schema.checksummed(self.request.setup)}
        for name in {*_PARAMETERS, *numbers}:
            stored = _dataset(self._file, f"{schema.PARAMETERS}/{name}")
            wanted = (self._length, *((self.request.steps, 2) if name == "step_offset" else ()))
            if stored.shape[:1] != (self._length,):
                raise ValueError(f"{name} must have {self._length} rows")
            if stored.shape != wanted or (name in numbers and stored.dtype != numbers[name]):
                raise ValueError(f"{name} must not be {stored.dtype} of shape {stored.shape}")

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Turn whatever the HDF5 library raises on damaged data into one error that names the file."""
        try:
            yield
        except (KeyError, OSError, RuntimeError, TypeError, UnicodeDecodeError, AttributeError) as error:
            raise ValueError(f"{self.path}: {what} cannot be read: {error}") from None
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, key: int) -> SpecklePair: ...

    @overload
    def __getitem__(self, key: slice) -> list[SpecklePair]: ...

    def __getitem__(self, key: int | slice) -> SpecklePair | list[SpecklePair]:
        if isinstance(key, slice):
            return [self[row] for row in range(*key.indices(len(self)))]
        row = key + len(self) if key < 0 else key
        if not 0 <= row < len(self):
            raise IndexError(f"pair {key} of a data set of {len(self)}")
        values: dict[str, Any] = {field.name: self.read(field.name, row) for field in self._fields}
        parameters = self.parameters(row)
        if self._verify and not self.intact(schema.PARAMETER_CHECKSUM, row, parameters):
            raise ValueError(f"{self.path}: pair {row}, parameters: the checksum does not match")
        return self.assemble(row, values, parameters)

    def assemble(self, row: int, values: dict[str, Any], parameters: dict[str, Any]) -> SpecklePair:
        """The pair that fields and parameters of a row make."""
        with self._reading(f"pair {row}, scene"):
            scene = json.loads(parameters["scene"])
            if not isinstance(scene, dict):
                raise ValueError(f"pair {row}, scene: must be an object, got {scene!r}")
        return SpecklePair(
            **values, scene=scene, index=parameters["index"], step_offset_px=parameters["step_offset"]
        )

    def __iter__(self) -> Iterator[SpecklePair]:
        return (self[row] for row in range(len(self)))

    def read(self, field: str, row: int) -> np.ndarray:
        """One field of one pair, checked against its checksum if the data set was opened with `verify`."""
        with self._reading(f"pair {row}, {field}"):
            values = self._stored[field][row]
        if self._verify and not self.intact(field, row, values):
            raise ValueError(f"{self.path}: pair {row}, {field}: the checksum does not match")
        return values

    def parameters(self, row: int) -> dict[str, Any]:
        """Geometry, material, scene (as text), index and step_offset of one pair."""
        with self._reading(f"pair {row}, parameters"):
            stored = {name: self._file[schema.PARAMETERS][name] for name in _PARAMETERS}
            return {
                "geometry": stored["geometry"].asstr()[row],
                "material": stored["material"].asstr()[row],
                "scene": stored["scene"].asstr()[row],
                "index": int(stored["index"][row]),
                "step_offset": stored["step_offset"][row],
            }

    def intact(self, field: str, row: int, values: Any) -> bool:
        """Whether a field, or the parameters, of a pair match the checksum stored for them."""
        found = (
            schema.parameter_checksum(values)
            if field == schema.PARAMETER_CHECKSUM
            else schema.checksum(values)
        )
        with self._reading(f"pair {row}, checksum of {field}"):
            return found == int(self._file[schema.PARAMETERS][schema.checksum_name(field)][row])

    def column(self, name: str) -> np.ndarray:
        """A column of /entry/parameters; text as str."""
        with self._reading(f"column {name}"):
            stored = _dataset(self._file, f"{schema.PARAMETERS}/{name}")
            return stored.asstr()[()] if h5py.check_string_dtype(stored.dtype) else stored[()]

    def provenance(self) -> dict[str, Any]:
        """What stands in /entry/setup beside the request, and the start time."""
        with self._reading("setup"):

            def stored(name: str) -> Any:
                return _dataset(self._file, f"{schema.SETUP}/{name}")

            return {
                "start_time": _dataset(self._file, "/entry/start_time")[()].decode(),
                "toml": stored("toml")[()].decode(),
                "versions": json.loads(stored("versions")[()]),
                "materials": list(stored("materials").asstr()[()]),
                "delta": stored("delta")[()].tolist(),
                "beta": stored("beta")[()].tolist(),
                "compression": stored("compression")[()].decode(),
                "content_hash": stored("content_hash")[()].decode(),
            }

    def planned_pairs(self) -> int:
        """Number of pairs of the whole run, of which a shard holds a part."""
        with self._reading("planned_pairs"):
            return int(_dataset(self._file, f"{schema.SETUP}/planned_pairs")[()])

    def expected_content_hash(self) -> str:
        """The content hash that belongs to the request and the checksums in the file."""
        with self._reading("content hash"):
            request = _dataset(self._file, f"{schema.SETUP}/request")[()]
            columns = map(schema.checksum_name, schema.checksummed(self.request.setup))
            return schema.content_hash(request, {column: self.column(column) for column in columns})

    def _repr_html_(self) -> str:
        frame = self.request.setup.detector
        rows = [
            ("pairs", f"{len(self)} of {self.request.steps} × {frame.rows} × {frame.columns} pixels"),
            ("request", self.request.describe()),
            ("seed", self.request.seed),
        ]
        return notebook.table(str(self.path), rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return SpeckleDataset, (self.path, self._verify)  # a copy in another process opens the file again


def _load_filters(stored: h5py.Dataset) -> None:
    """Register bitshuffle where it is used: the import takes its time."""
    if stored.id.get_create_plist().get_nfilters() and stored.compression != "gzip":
        import hdf5plugin  # noqa: F401


def _dataset(file: h5py.File, path: str) -> h5py.Dataset:
    """A data set that lies in the file itself, reached by hard links alone."""
    where = file
    for name in path.strip("/").split("/"):
        link = where.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{path} is {'missing' if link is None else 'a link, which is refused'}")
        where = where[name]
    if not isinstance(where, h5py.Dataset):
        raise ValueError(f"{path} must be a data set")
    if where.is_virtual or where.external:
        raise ValueError(f"{path} keeps its data outside of the file, which is refused")
    return where
