"""What a retrieval gives, and the file it is written to."""

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from specksim import notebook
from specksim.dataset import schema
from specksim.dataset.writer import complete_file, part_path
from specksim.setups import Setup

MAPS = {
    "dx": ("pixel", "displacement along columns, reference to sample"),
    "dy": ("pixel", "displacement along rows, reference to sample"),
    "phase": ("radian", "phase shift of the object"),
    "transmission": ("", "intensity transmission of the object"),
    "dark_field": ("", "visibility of the sample image over that of the reference"),
    "dx_error": ("pixel", "standard error of dx"),
    "dy_error": ("pixel", "standard error of dy"),
    "quality": ("", "trust in the displacement: 1 best, 0 none"),
}
"""Units and meaning of each map of a `Retrieval`, in the order of the file."""

_RESULT_VERSION = 1


@dataclass(frozen=True)
class Retrieval:
    """Displacement, and what else a method found, of one pair of images.

    Attributes
    ----------
    dx, dy : (H, W) float32
        Displacement along columns and rows, detector pixels, from reference to sample, on the reference's
        grid: what is at x in the reference is found at x + d(x) in the sample.
    quality : (H, W) float32
        Trust in the displacement: from 1 down to 0, where it is not to be used (borders, dead pixels).
    transmission : (H, W) float32 or None
        Intensity transmission t of the object; of methods that cannot tell loss from spreading (all but MIST,
        speckle-tie and the networks) t / |det(I + ∇d)|.
    dark_field : (H, W) float32 or None
        Visibility of the sample image over that of the reference.
    phase : (H, W) float32 or None
        Phase shift of the object, rad, negative in matter; see `integrate_phase`.
    dx_error, dy_error : (H, W) float32 or None
        Standard errors of the displacement, detector pixels.
    method : str
        Name of the method.
    parameters : dict
        Its parameters and what it measured on the way: plain JSON values.

    Raises
    ------
    ValueError
        If the maps are not all of one shape (H, W).
    """

    dx: np.ndarray
    dy: np.ndarray
    quality: np.ndarray
    transmission: np.ndarray | None = None
    dark_field: np.ndarray | None = None
    phase: np.ndarray | None = None
    dx_error: np.ndarray | None = None
    dy_error: np.ndarray | None = None
    method: str = field(kw_only=True)
    parameters: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        shapes = {name: np.shape(values) for name, values in self.maps().items()}
        if len(set(shapes.values())) != 1 or len(shapes["dx"]) != 2:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ValueError(f"the maps of a Retrieval must be of one shape (H, W), got {found}")

    def maps(self) -> dict[str, np.ndarray]:
        """The maps that are there, by name."""
        found = {item.name: getattr(self, item.name) for item in fields(self) if item.name in MAPS}
        return {name: found[name] for name in MAPS if found[name] is not None}

    def _repr_png_(self) -> bytes:
        return notebook.picture(self.method, self.maps())


def write_retrieval(
    path: str | Path,
    retrievals: Retrieval | Iterable[Retrieval],
    setup: Setup | None = None,
    *,
    overwrite: bool = False,
) -> int:
    """Write one retrieval or a series of them to an HDF5 file that opens to a picture of dx.

    Parameters
    ----------
    path : path-like
    retrievals : Retrieval or iterable of Retrieval
        Taken one at a time: a generator needs memory for one. All have the maps and the shape of the first.
    setup : Setup, optional
        Kept in the file as TOML.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    int
        Number of retrievals written, n.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is not set, or its `.part` is there: another run is writing it.
    ValueError
        If there is no retrieval, or one differs in maps or shape from the first; nothing is then written.
    OSError
        If the file cannot be written.

    Notes
    -----
    /entry/data holds the maps as (n, H, W) float32, /entry/parameters a data set for each parameter, a row a
    retrieval. The file is written under the name `path`.part and renamed when it is complete.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; give overwrite to replace it")
    part = part_path(target)
    series = [retrievals] if isinstance(retrievals, Retrieval) else retrievals
    if part.exists():
        raise FileExistsError(f"{part} exists: another run is writing it or was killed; remove it if so")
    with complete_file(target) as new:
        file = new.hdf5
        _create_entry(file, setup)
        rows: list[dict[str, Any]] = []
        for retrieval in series:
            _append(file[schema.DATA], len(rows), retrieval)
            new.raise_failure()
            rows.append({"method": retrieval.method, **retrieval.parameters})
        if not rows:
            raise ValueError(f"{target}: there is no retrieval to write")
        file["/entry/title"] = f"{len(rows)} retrieval(s), {rows[0]['method']}"
        _write_parameters(file[schema.PARAMETERS], rows)
    return len(rows)


def _create_entry(file: h5py.File, setup: Setup | None) -> None:
    file.attrs.update(NX_class="NXroot", default="entry", result_version=_RESULT_VERSION)
    entry = file.create_group("entry")
    entry.attrs.update(NX_class="NXentry", default="data")
    entry["program_name"] = schema.PROGRAM
    entry["program_name"].attrs["version"] = version("specksim")
    entry["start_time"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    entry.create_group("data").attrs.update(NX_class="NXdata", signal="dx")
    entry.create_group("parameters").attrs["NX_class"] = "NXcollection"
    if setup is not None:
        group = entry.create_group("setup")
        group.attrs["NX_class"] = "NXcollection"
        group["toml"] = setup.to_toml()


def _append(data: h5py.Group, row: int, retrieval: Retrieval) -> None:
    maps = retrieval.maps()
    if row == 0:
        shape = maps["dx"].shape
        for name in maps:
            units, meaning = MAPS[name]
            stored = data.create_dataset(
                name, (0, *shape), np.float32, maxshape=(None, *shape), chunks=(1, *shape)
            )
            stored.attrs.update(units=units, long_name=meaning, interpretation="image")
        data.attrs["auxiliary_signals"] = [name for name in maps if name != "dx"]
    if set(maps) != set(data) or maps["dx"].shape != data["dx"].shape[1:]:
        raise ValueError(
            f"retrieval {row} must have the maps {', '.join(data)} of shape {data['dx'].shape[1:]} as the "
            f"first, got {', '.join(maps)} of shape {maps['dx'].shape}"
        )
    for name, values in maps.items():
        data[name].resize(row + 1, axis=0)
        data[name][row] = values


def _write_parameters(group: h5py.Group, rows: list[dict[str, Any]]) -> None:
    """One data set a parameter: numbers as float64 (NaN where a row lacks it), text as it is, else JSON."""
    text = h5py.string_dtype("utf-8")
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        if all(value is None or type(value) in (int, float) for value in values):
            numbers = [np.nan if value is None else value for value in values]
            group[name] = np.array(numbers, np.float64)
        else:
            words = [value if isinstance(value, str) else json.dumps(value) for value in values]
            group.create_dataset(name, data=np.array(words, dtype=object), dtype=text)
