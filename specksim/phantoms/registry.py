"""Geometries by name: the project's own, and those of other packages.

A geometry is any object with

- `draw(rng, setup) -> dict`: everything that is drawn at random, as plain JSON values;
- `thickness(scene, grid) -> {material: (rows, columns) float32}`: the projected thickness in m at the grid's
  points of each material; `scene` is what was drawn, with `"geometry"` and the pair's `"material"` added.

Other packages register theirs under the entry point group `specksim.geometries`. Geometries that a file
describes have the file in their name, see `files`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np

from specksim.grid import Grid
from specksim.phantoms import bodies, draws, fields, files, flower, shapes, training
from specksim.plugins import load_plugin, plugin_names
from specksim.setups import Setup

ENTRY_POINTS = "specksim.geometries"


class Geometry(Protocol):
    """What a geometry must offer, see the module's head."""

    def draw(self, rng: np.random.Generator, setup: Setup) -> dict[str, Any]: ...

    def thickness(self, scene: Mapping[str, Any], grid: Grid) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class _Drawn:
    """A geometry of two functions."""

    draw: Callable[[np.random.Generator, Setup], dict[str, Any]]
    thickness: Callable[[Mapping[str, Any], Grid], dict[str, np.ndarray]]


def _bodies(draw: draws.Draw) -> Geometry:
    """Bodies that are drawn until they displace enough of the frame."""
    return _Drawn(partial(draws.draw_scene, draw), bodies.thickness)


_TRAINING: dict[str, Geometry] = {
    "sphere": _bodies(training.draw_spheres),
    "fiber": _bodies(training.draw_fibers),
    "spheres-in-fiber": _bodies(training.draw_spheres_in_fiber),
    "spheres-in-block": _bodies(training.draw_spheres_in_block),
}
_BUILT_IN: dict[str, Geometry] = {
    **_TRAINING,
    "ellipsoid": _bodies(shapes.draw_ellipsoids),
    "cone": _bodies(shapes.draw_cones),
    "tube": _bodies(shapes.draw_tubes),
    "composite": _bodies(shapes.draw_composite),
    "flower": _Drawn(flower.draw_flower, bodies.thickness),
    "wedge": _Drawn(fields.draw_wedge, fields.wedge),
    "steps": _Drawn(fields.draw_steps, fields.steps),
    "blobs": _Drawn(fields.draw_blobs, fields.blobs),
    "star": _Drawn(fields.draw_star, fields.star),
    "empty": _Drawn(fields.draw_empty, fields.empty),
}

TRAINING = tuple(_TRAINING)
"""The geometries that a training set takes in turn."""


def geometry_names() -> tuple[str, ...]:
    """Names of all geometries, built in and registered by other packages."""
    return plugin_names(ENTRY_POINTS, _BUILT_IN)


def find_geometry(name: str) -> Geometry:
    """The geometry of a name.

    Raises
    ------
    ValueError
        If no geometry has this name, the package that registered it fails to load, or the file that
        describes it cannot be used (see `files`).
    OSError
        If that file cannot be read.
    """
    if files.is_file_geometry(name):
        return files.open_geometry(name)
    return _BUILT_IN[name] if name in _BUILT_IN else _load(name)


def resolve_name(name: str) -> str:
    """A geometry's name as a data set keeps it: with the digest of the file that describes it, if any.

    Raises
    ------
    ValueError, OSError
        As `find_geometry`.
    """
    find_geometry(name)
    return files.resolve(name) if files.is_file_geometry(name) else name


@lru_cache
def _load(name: str) -> Geometry:
    named = [*_BUILT_IN, *(f"{kind}:FILE@UNIT" for kind in files.KINDS)]
    loaded, where = load_plugin(ENTRY_POINTS, name, "geometry", named)
    if not (callable(getattr(loaded, "draw", None)) and callable(getattr(loaded, "thickness", None))):
        raise ValueError(f"{where} has no draw and thickness")
    geometry: Geometry = loaded
    return geometry


def draw_scene(geometry: str, material: str, setup: Setup, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a scene: what the geometry drew, with its name and the pair's material."""
    name = resolve_name(geometry)
    return {"geometry": name, "material": material, **find_geometry(name).draw(rng, setup)}


def thickness(scene: Mapping[str, Any], grid: Grid) -> dict[str, np.ndarray]:
    """Projected thickness of each material of a scene at the grid's points, (rows, columns) float32, m.

    Raises
    ------
    ValueError
        If the geometry is unknown, or returns a map of the wrong shape, not finite or negative.

    Examples
    --------
    >>> scene = {"geometry": "wedge", "material": "nylon", "base_um": 1000.0, "slope_x": 0.1, "slope_y": 0.0}
    >>> first_row = thickness(scene, Grid(rows=2, columns=3, pitch_m=1e-3))["nylon"][0]
    >>> [round(float(value), 4) for value in first_row]
    [0.0009, 0.001, 0.0011]
    """
    maps = find_geometry(scene["geometry"]).thickness(scene, grid)
    for material, values in maps.items():
        where = f"thickness of {material} from geometry {scene['geometry']!r}"
        if np.shape(values) != grid.shape:
            raise ValueError(f"{where} must have shape {grid.shape}, got {np.shape(values)}")
        # one pass each, and NaN fails both comparisons
        if not (np.min(values) >= 0 and np.max(values) < np.inf):
            raise ValueError(f"{where} must be finite and >= 0")
    return maps
