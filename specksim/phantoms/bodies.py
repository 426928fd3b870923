"""Solid bodies with known projected thickness, alone, in each other, of one material or several.

A scene is plain data: `{"material": HOST, "bodies": [BODY, ...]}`. A body is one of

    {"shape": "sphere", "x_um", "y_um", "radius_um"}
    {"shape": "cylinder", "x_um", "y_um", "radius_um", "angle_rad", "tilt_rad"}     endless, along its axis
    {"shape": "capsule", "x_um", "y_um", "radius_um", "length_um", "angle_rad", "tilt_rad"}   round ends
    {"shape": "cone", "x_um", "y_um", "radius_um", "height_um", "angle_rad", "tilt_rad"}      axis to the apex
    {"shape": "cuboid", "x_um", "y_um", "size_um": [3], "rotation": [4]}            quaternion (w, x, y, z)
    {"shape": "ellipsoid", "x_um", "y_um", "semi_axes_um": [3], "rotation": [4]}

with x along columns and y along rows of the body's middle from the frame's centre, in the object plane.
`angle_rad` turns an axis from x towards y, `tilt_rad` lifts it out of the object plane. A body is of the
host's material, or of the one that its `"material"` names; bodies add up. A body with `"inclusion": true`
takes the place of the host: a void, or the material that its `"material"` names.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from specksim.compiled import kernel
from specksim.convex import add_convex, rotation_matrices, upper_and_lower
from specksim.grid import Grid
from specksim.phantoms.capsules import add_capsule
from specksim.phantoms.quadrics import add_quadric, cone, ellipsoid
from specksim.phantoms.rows import columns_between

_SUBSAMPLES = 4  # along each axis, where a rim crosses a cell


def thickness(scene: Mapping[str, Any], grid: Grid) -> dict[str, np.ndarray]:
    """Projected thickness of each material of a scene.

    Parameters
    ----------
    scene : mapping
        See the module's head.
    grid : Grid
        Points in the object plane.

    Returns
    -------
    dict of str to (rows, columns) float32
        Thickness at the grid's points, m, by name of the material. At a rim it is the mean over the cell
        around the point.

    Raises
    ------
    ValueError
        If a body's shape is unknown.
    """
    host = scene["material"]
    maps = {host: np.zeros(grid.shape, np.float32)}
    for body in scene["bodies"]:
        if body["shape"] not in _ADD:
            raise ValueError(f"shape must be one of {', '.join(_ADD)}, got {body['shape']!r}")
        add = _ADD[body["shape"]]
        inclusion, own = body.get("inclusion", False), body.get("material")
        if inclusion:
            add(maps[host], body, grid, -1.0)
        if own is not None or not inclusion:
            add(maps.setdefault(own or host, np.zeros(grid.shape, np.float32)), body, grid, 1.0)
    if any(body.get("inclusion", False) for body in scene["bodies"]):
        np.maximum(maps[host], 0.0, out=maps[host])  # rounding leaves a void's chord a hair above its host's
    return maps


def _place_m(body: Mapping[str, Any]) -> tuple[float, float]:
    return body["y_um"] * 1e-6, body["x_um"] * 1e-6


def _add_sphere(out: np.ndarray, body: Mapping[str, Any], grid: Grid, weight: float) -> None:
    y, x = _place_m(body)
    _sphere(out, y, x, body["radius_um"] * 1e-6, *grid.origin_m, grid.pitch_m, weight)


def _add_cylinder(out: np.ndarray, body: Mapping[str, Any], grid: Grid, weight: float) -> None:
    y, x = _place_m(body)
    along = math.cos(body["angle_rad"]), math.sin(body["angle_rad"])
    # a tilt lengthens every chord by 1 / cos(tilt) and leaves the outline as it is
    weight /= math.cos(body["tilt_rad"])
    _cylinder(out, y, x, *along, body["radius_um"] * 1e-6, *grid.origin_m, grid.pitch_m, weight)


def _add_cuboid(out: np.ndarray, body: Mapping[str, Any], grid: Grid, weight: float) -> None:
    y, x = _place_m(body)
    axes = rotation_matrices(np.asarray(body["rotation"], float)).T  # rows: its edges in the laboratory
    half = 0.5e-6 * np.asarray(body["size_um"], float)
    planes = upper_and_lower(np.concatenate([axes, -axes])[None], np.concatenate([half, half])[None])[0]
    add_convex(out, planes, y, x, *grid.origin_m, grid.pitch_m, weight, False)


def _add_ellipsoid(out: np.ndarray, body: Mapping[str, Any], grid: Grid, weight: float) -> None:
    add_quadric(out, ellipsoid(body), *_place_m(body), grid, weight)


def _add_cone(out: np.ndarray, body: Mapping[str, Any], grid: Grid, weight: float) -> None:
    add_quadric(out, cone(body), *_place_m(body), grid, weight)


_ADD = {
    "sphere": _add_sphere,
    "cylinder": _add_cylinder,
    "capsule": add_capsule,
    "cone": _add_cone,
    "cuboid": _add_cuboid,
    "ellipsoid": _add_ellipsoid,
}


@kernel
def _round_chord(squared_distance, radius):
    """Chord of a circle at a squared distance from its centre."""
    return 2.0 * np.sqrt(max(radius * radius - squared_distance, 0.0))


@kernel
def _sphere(out, y, x, radius, y_origin, x_origin, pitch, weight):
    start = x_origin - x
    for i in range(out.shape[0]):
        dy = y_origin + i * pitch - y
        outer = (radius + pitch) ** 2 - dy * dy
        if outer <= 0.0:
            continue
        row = out[i]
        reach = np.sqrt(outer)
        first, last = columns_between(-reach, reach, start, pitch, row.shape[0])
        inner = np.sqrt(max((max(radius - pitch, 0.0)) ** 2 - dy * dy, 0.0))
        left, right = columns_between(-inner, inner, start, pitch, row.shape[0])
        left, right = (left, right) if inner > 0.0 and left < right else (last, last)
        _sphere_rim(row[first:left], dy, start + first * pitch, radius, pitch, weight)
        _add_chords(row[left:right], start + left * pitch, pitch, radius * radius - dy * dy, 2.0 * weight)
        _sphere_rim(row[right:last], dy, start + right * pitch, radius, pitch, weight)


@kernel
def _cylinder(out, y, x, along_x, along_y, radius, y_origin, x_origin, pitch, weight):
    step = pitch * along_y
    for i in range(out.shape[0]):
        row = out[i]
        start = (x_origin - x) * along_y - (y_origin + i * pitch - y) * along_x
        outer, inner = radius + pitch, max(radius - pitch, 0.0)
        first, last = columns_between(-outer, outer, start, step, row.shape[0])
        left, right = columns_between(-inner, inner, start, step, row.shape[0])
        left, right = (left, right) if left < right else (last, last)
        for a, b in ((first, left), (right, last)):
            _cylinder_rim(row[a:b], start + a * step, along_x * pitch, step, radius, weight)
        _add_chords(row[left:right], start + left * step, step, radius * radius, 2.0 * weight)


@kernel
def _add_chords(row, start, step, square, weight):
    """Add weight · √(square − s²) to a row on which s grows in steps."""
    for j in range(row.shape[0]):
        s = start + j * step
        row[j] += weight * np.sqrt(np.float32(square - s * s))


@kernel
def _sphere_rim(row, dy, dx, radius, pitch, weight):
    """Add the mean chord over each cell of a row that begins at (dy, dx) from the middle of a sphere."""
    for j in range(row.shape[0]):
        total = 0.0
        for a in range(_SUBSAMPLES):
            v = dy + ((a + 0.5) / _SUBSAMPLES - 0.5) * pitch
            for b in range(_SUBSAMPLES):
                u = dx + (j + (b + 0.5) / _SUBSAMPLES - 0.5) * pitch
                total += _round_chord(u * u + v * v, radius)
        row[j] += weight * total / (_SUBSAMPLES * _SUBSAMPLES)


@kernel
def _cylinder_rim(row, distance, down, right, radius, weight):
    """Add the mean chord over each cell of a row; the distance from the axis grows by `right` a column."""
    for j in range(row.shape[0]):
        total = 0.0
        for a in range(_SUBSAMPLES):
            v = distance - ((a + 0.5) / _SUBSAMPLES - 0.5) * down
            for b in range(_SUBSAMPLES):
                s = v + (j + (b + 0.5) / _SUBSAMPLES - 0.5) * right
                total += _round_chord(s * s, radius)
        row[j] += weight * total / (_SUBSAMPLES * _SUBSAMPLES)
