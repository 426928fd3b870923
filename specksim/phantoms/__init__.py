"""Projected thickness of objects, by name of their geometry."""

from specksim.phantoms.registry import (
    TRAINING,
    draw_scene,
    find_geometry,
    geometry_names,
    resolve_name,
    thickness,
)

__all__ = ["TRAINING", "draw_scene", "find_geometry", "geometry_names", "resolve_name", "thickness"]
