"""Geometries that a file describes, named KIND:FILE@UNIT: a closed mesh, or a map of thickness.

    mesh:part.stl@mm          STL, PLY, OBJ, … in millimetres
    thickness:map.npy@um      an array (rows, columns) over the frame, in micrometres; TIFF, HDF5 or NumPy

In a data set the name ends with the first 16 digits of the file's SHA-256, KIND:FILE@UNIT#DIGEST: what is
simulated again comes from the same file, or not at all.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from specksim.grid import Grid
from specksim.phantoms.draws import Scene, frame_um
from specksim.phantoms.meshes import Mesh, overlap_m
from specksim.setups import Setup

KINDS = ("mesh", "thickness")
_UNITS_M = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "nm": 1e-9}
_DIGEST = re.compile(r"#([0-9a-f]{16})$")
_TOUCHING = 1e-6  # of a mesh's size: surfaces may overlap by this much


@dataclass(frozen=True, eq=False)
class ThicknessMap:
    """A map of thickness over the frame, as a geometry.

    Between its pixels the thickness is a cubic spline, cut off at 0; beyond the frame it goes on as at the
    edge.

    Attributes
    ----------
    name : str
        The file, for messages.
    thickness_m : (m · rows, m · columns) float64
        Mean thickness of each pixel, or of each of m × m parts of a pixel.
    """

    name: str
    thickness_m: np.ndarray

    def draw(self, rng: np.random.Generator, setup: Setup) -> Scene:
        """The frame that the map covers; nothing is random."""
        frame, shape = setup.detector.shape, self.thickness_m.shape
        if shape[0] % frame[0] or shape[1] % frame[1] or shape[0] // frame[0] != shape[1] // frame[1]:
            raise ValueError(
                f"{self.name}: must have the frame's shape {frame} or a multiple of it, got {shape}"
            )
        return {"frame_um": list(frame_um(setup))}

    def thickness(self, scene: Mapping[str, Any], grid: Grid) -> dict[str, np.ndarray]:
        """The spline at the grid's points."""
        from scipy.interpolate import RectBivariateSpline

        half = 0.5e-6 * np.array(scene["frame_um"])
        centres = [
            ((2 * np.arange(size) + 1) / size - 1) * edge
            for size, edge in zip(self.thickness_m.shape, half, strict=True)
        ]
        spline = RectBivariateSpline(*centres, self.thickness_m, bbox=[-half[0], half[0], -half[1], half[1]])
        places = (np.clip(where, -edge, edge) for where, edge in zip((grid.y_m, grid.x_m), half, strict=True))
        return {scene["material"]: np.maximum(spline(*places), 0.0).astype(np.float32)}


def is_file_geometry(name: str) -> bool:
    """Whether a geometry's name is one of KIND or KIND:FILE…"""
    return name.partition(":")[0] in KINDS


def resolve(name: str) -> str:
    """The name with the digest of its file.

    Raises
    ------
    ValueError, OSError
        As `open_geometry`.
    """
    open_geometry(name)
    kind, path, unit, _ = _parse(name)
    return f"{kind}:{path}@{unit}#{_digest(*_state(path))}"


def open_geometry(name: str) -> Mesh | ThicknessMap:
    """The geometry that a file describes.

    Raises
    ------
    ValueError
        If file or unit is missing from the name, the file is no mesh or no map, the mesh is empty, open or
        intersects itself, the map holds values that are not finite or negative, or the file is not the one
        whose digest the name gives.
    OSError
        If the file cannot be read.
    """
    kind, path, unit, digest = _parse(name)
    state = _state(path)
    if digest and digest != _digest(*state):
        raise ValueError(f"{path} has changed: its SHA-256 begins with {_digest(*state)}, not {digest}")
    return _open(kind, path, unit, *state[1:])


def _parse(name: str) -> tuple[str, str, str, str]:
    """Kind, path, unit, digest (or nothing)."""
    kind, _, rest = name.partition(":")
    found = _DIGEST.search(rest)
    path, at, unit = rest.removesuffix(found[0] if found else "").rpartition("@")
    example = f"{kind}:{path or rest or ('part.stl' if kind == 'mesh' else 'map.npy')}@mm"
    if not at or not path or unit not in _UNITS_M:
        raise ValueError(
            f"geometry {name!r} must be {kind}:FILE@UNIT, as in {example}; units: {', '.join(_UNITS_M)}"
        )
    return kind, path, unit, found[1] if found else ""


def _state(path: str) -> tuple[str, int, int]:
    """Path, time and size of a file: what was read of it may be kept while they are the same."""
    file = path.partition("::")[0]  # an image within an HDF5 file
    status = Path(file).stat()
    return file, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=32)
def _digest(file: str, mtime_ns: int, size: int) -> str:
    with Path(file).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]


@lru_cache(maxsize=8)
def _open(kind: str, path: str, unit: str, mtime_ns: int, size: int) -> Mesh | ThicknessMap:
    scale = _UNITS_M[unit]
    return _open_mesh(path, scale) if kind == "mesh" else _open_map(path, scale)


def _open_map(path: str, scale_m: float) -> ThicknessMap:
    from specksim.images import read_image

    thickness = scale_m * read_image(path).astype(np.float64)
    if min(thickness.shape) < 4:
        raise ValueError(f"{path}: must have at least 4 × 4 pixels, got {thickness.shape}")
    return ThicknessMap(path, thickness)


def _open_mesh(path: str, scale_m: float) -> Mesh:
    triangles = scale_m * _read_triangles(path)
    volume = float(np.linalg.det(triangles - triangles.mean(axis=(0, 1))).sum()) / 6
    if volume < 0:  # inside out
        triangles = triangles[:, ::-1]
    corners = triangles.reshape(-1, 3)
    triangles = triangles - 0.5 * (corners.min(axis=0) + corners.max(axis=0))
    overlap, size = overlap_m(triangles), float(np.ptp(corners, axis=0).max())
    if overlap > _TOUCHING * size:
        raise ValueError(
            f"{path}: the mesh intersects itself, or one part of it lies within another: "
            f"over up to {overlap / scale_m:.3g} of {size / scale_m:.3g}"
        )
    return Mesh(path, np.ascontiguousarray(triangles))


def _read_triangles(path: str) -> np.ndarray:
    """Corners of a closed mesh's triangles, in its own unit, all anticlockwise or all clockwise."""
    try:
        import trimesh
    except ImportError:
        raise ValueError("geometry 'mesh' needs trimesh: pip install 'specksim[mesh]'") from None
    try:
        with np.errstate(all="ignore"):
            mesh = trimesh.load_mesh(path)
            faces, vertices = mesh.faces, np.asarray(mesh.vertices, float)
            closed = mesh.is_watertight and mesh.is_winding_consistent
    except Exception as error:  # readers raise whatever they please on damaged files
        raise ValueError(f"{path}: cannot be read as a mesh: {error!r}") from None
    if len(faces) == 0:
        raise ValueError(f"{path}: the mesh is empty, or the file is none")
    if not closed:
        raise ValueError(f"{path}: the mesh must be closed (watertight), its faces all turned outwards")
    return vertices[faces]
