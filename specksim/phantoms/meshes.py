"""Projected thickness of closed triangle meshes.

A beam along z enters a closed surface where its outward normal points against the beam and leaves where it
points along it. The thickness is the sum of all z at which it leaves, less all z at which it enters: exact
for the mesh, without voxels. Which triangle a point on an edge belongs to is decided in integers, so that
neighbours never both take it, nor both leave it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim.compiled import kernel
from specksim.convex import rotation_matrices
from specksim.grid import Grid
from specksim.phantoms.draws import Scene, frame_um
from specksim.setups import Setup

_STEPS = 4096  # integer steps a grid cell, in which vertices are placed
_FARTHEST = 1 << 29  # steps from the grid's origin that keep products within 64 bits
_CHECK_RAYS = 256  # along the longest side of a mesh, to see whether it intersects itself


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed mesh, as a geometry: in any orientation, its middle in the middle of the frame, ± 0.1 of it.

    Attributes
    ----------
    name : str
        The file, for messages.
    triangles : (n, 3, 3) float64
        Corners (x, y, z), m, about the middle of the mesh; anticlockwise seen from outside.
    """

    name: str
    triangles: np.ndarray

    def draw(self, rng: np.random.Generator, setup: Setup) -> Scene:
        """A random orientation and place."""
        extent = np.ptp(self.triangles.reshape(-1, 3), axis=0).max()
        if extent < 2 * setup.object_pixel_m:
            raise ValueError(
                f"{self.name}: must be larger than two pixels, got {extent:.3g} m; is its unit right?"
            )
        height, width = frame_um(setup)
        quaternion = rng.standard_normal(4)
        return {
            "x_um": rng.uniform(-0.1, 0.1) * width,
            "y_um": rng.uniform(-0.1, 0.1) * height,
            "rotation": (quaternion / np.linalg.norm(quaternion)).tolist(),
        }

    def thickness(self, scene: Any, grid: Grid) -> dict[str, np.ndarray]:
        """Projected thickness of the turned mesh."""
        place = 1e-6 * np.array([scene["x_um"], scene["y_um"], 0.0])
        turned = self.triangles @ rotation_matrices(np.asarray(scene["rotation"], float)).T + place
        try:
            return {scene["material"]: projected_thickness(turned, grid)}
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None


def projected_thickness(triangles: np.ndarray, grid: Grid) -> np.ndarray:
    """Thickness along z of a closed mesh at the points of a grid.

    Parameters
    ----------
    triangles : (n, 3, 3) array
        Corners (x, y, z), m, anticlockwise seen from outside.
    grid : Grid

    Returns
    -------
    (rows, columns) float32
        Thickness, m.

    Raises
    ------
    ValueError
        If the mesh reaches so far beyond the grid that its corners cannot be placed.
    """
    thickness = np.zeros(grid.shape)
    _cross(*_placed(triangles, grid), thickness, *_listing(0))
    return np.maximum(thickness, 0.0).astype(np.float32)  # rounding, where a beam leaves as it enters


def overlap_m(triangles: np.ndarray) -> float:
    """The longest way, m, that a beam goes within a mesh twice, or within nothing once; 0 for a sound mesh.

    Beams along each axis, 256 along the longest side, must enter and leave in turn.
    """
    lowest, highest = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    pitch = float((highest - lowest).max()) / _CHECK_RAYS
    longest = 0.0
    for axis in range(3):
        turned = np.roll(triangles - 0.5 * (lowest + highest), axis, axis=-1)
        columns, rows = (int(size / pitch) + 2 for size in np.roll(highest - lowest, axis)[:2])
        grid = Grid(rows, columns, pitch)
        placed, nothing = _placed(turned, grid), np.zeros(grid.shape)
        beams = _listing(_cross(*placed, nothing, *_listing(0)))
        _cross(*placed, nothing, *beams)
        order = np.lexsort(beams[1::-1])  # by beam, then by height
        beam, z, sign = (values[order] for values in beams)
        inside = np.cumsum(-sign)  # every beam ends outside: the next one's count begins at 0
        wrong = ((inside != 0) & (inside != 1))[:-1] & (beam[1:] == beam[:-1])
        longest = max(longest, float(np.diff(z)[wrong].max(initial=0.0)))
    return longest


def _placed(triangles: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Corners (x, y) in integer steps from the grid's first point, and their z, m."""
    y_origin, x_origin = grid.origin_m
    steps = (triangles[..., :2] - (x_origin, y_origin)) * (_STEPS / grid.pitch_m)
    if not np.abs(steps).max() < _FARTHEST:
        raise ValueError(
            f"the mesh is {np.ptp(triangles):.3g} m wide, too large for the frame; is its unit right?"
        )
    return np.rint(steps).astype(np.int64), np.ascontiguousarray(triangles[..., 2], dtype=np.float64)


def _listing(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Room for the crossings of beams and mesh: beam, z, and 1 where it leaves, −1 where it enters."""
    return np.empty(count, np.int64), np.empty(count), np.empty(count, np.int64)


@kernel
def _beyond(ax, ay, bx, by, x, y):
    """Twice the area of a triangle (a, b, point), ≥ 0 where the point belongs to the side left of the edge.

    A point on the edge belongs to it in one of its two directions: −1 stands for the other.
    """
    area = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    if area == 0 and not (by > ay or (by == ay and bx < ax)):
        return -1
    return area


@kernel
def _cross(steps, z, thickness, beams, heights, signs):
    """Add ±z of every crossing of a beam and a triangle to `thickness`; list as many as there is room for.

    Returns the number of crossings.
    """
    rows, columns = thickness.shape
    count = 0
    for t in range(steps.shape[0]):
        ax, ay, bx, by, cx, cy = (
            steps[t, 0, 0], steps[t, 0, 1], steps[t, 1, 0], steps[t, 1, 1], steps[t, 2, 0], steps[t, 2, 1],
        )  # fmt: skip
        za, zb, zc = z[t, 0], z[t, 1], z[t, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        sign = 1
        if area < 0:
            area, sign = -area, -1
            bx, by, zb, cx, cy, zc = cx, cy, zc, bx, by, zb
        first_row = max(0, -(-min(ay, by, cy) // _STEPS))
        last_row = min(rows - 1, max(ay, by, cy) // _STEPS)
        first_column = max(0, -(-min(ax, bx, cx) // _STEPS))
        last_column = min(columns - 1, max(ax, bx, cx) // _STEPS)
        for i in range(first_row, last_row + 1):
            for j in range(first_column, last_column + 1):
                x, y = j * _STEPS, i * _STEPS
                at_c = _beyond(ax, ay, bx, by, x, y)
                at_a = _beyond(bx, by, cx, cy, x, y)
                at_b = _beyond(cx, cy, ax, ay, x, y)
                if at_a < 0 or at_b < 0 or at_c < 0:
                    continue
                height = (at_a * za + at_b * zb + at_c * zc) / area
                thickness[i, j] += sign * height
                if count < beams.size:
                    beams[count], heights[count], signs[count] = i * columns + j, height, sign
                count += 1
    return count
