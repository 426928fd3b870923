"""Projected thickness of capsules: rods with round ends, {r : distance to a segment ≤ radius}."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from specksim.compiled import kernel
from specksim.grid import Grid

_SUBSAMPLES = 4  # along each axis, where a rim crosses a cell
_LEAST_COSINE = 1e-6


def add_capsule(out: np.ndarray, body: Mapping[str, Any], grid: Grid, weight: float) -> None:
    """Add weight · thickness, m, of a capsule to a map on a grid.

    The body has the middle `x_um`, `y_um`, the `length_um` between the centres of its round ends,
    `radius_um`, `angle_rad` and `tilt_rad`. At a rim the thickness is the mean over the cell around the
    point.
    """
    tilt, angle = body["tilt_rad"], body["angle_rad"]
    _capsule(
        out,
        1e-6 * body["y_um"],
        1e-6 * body["x_um"],
        math.cos(angle),
        math.sin(angle),
        max(math.cos(tilt), _LEAST_COSINE),
        math.sin(abs(tilt)),  # the sign swaps the ends along the beam, which no chord can tell
        0.5e-6 * body["length_um"],
        1e-6 * body["radius_um"],
        *grid.origin_m,
        grid.pitch_m,
        weight,
    )


@kernel
def _capsule_chord(along, across, cosine, sine, half, radius):
    """Thickness at a place given along and across the projected axis, from the capsule's middle.

    A capsule is convex: its chord runs from the lowest to the highest point of the pieces it is made of,
    a cylinder between two planes and a ball at each end.
    """
    low, high = np.inf, -np.inf
    section = radius * radius - across * across
    if section <= 0.0:
        return 0.0
    reach = np.sqrt(section)
    first, last = (along * sine - reach) / cosine, (along * sine + reach) / cosine
    if sine > 1e-9:
        first = max(first, (-half - along * cosine) / sine)
        last = min(last, (half - along * cosine) / sine)
    elif abs(along * cosine) > half:
        last = first
    if last > first:
        low, high = first, last
    for end in (-half, half):
        ball = section - (along - end * cosine) ** 2
        if ball > 0.0:
            depth = np.sqrt(ball)
            low, high = min(low, end * sine - depth), max(high, end * sine + depth)
    return max(high - low, 0.0)


@kernel
def _capsule(out, y, x, along_x, along_y, cosine, sine, half, radius, y_origin, x_origin, pitch, weight):
    rows, columns = out.shape
    outer = radius + pitch
    span = half * cosine  # half the projected axis
    tall = span * abs(along_y) + outer
    wide = span * abs(along_x) + outer
    left, right = int((x - wide - x_origin) / pitch), int((x + wide - x_origin) / pitch) + 2
    for i in range(
        max(0, int((y - tall - y_origin) / pitch)), min(rows, int((y + tall - y_origin) / pitch) + 2)
    ):
        dy = y_origin + i * pitch - y
        start, stop = left, right
        if abs(along_y) > 1e-3:  # the columns of this row that lie near the axis
            middle, half_width = x + dy * along_x / along_y, outer / abs(along_y)
            start = max(start, int((middle - half_width - x_origin) / pitch))
            stop = min(stop, int((middle + half_width - x_origin) / pitch) + 2)
        for j in range(max(0, start), min(columns, stop)):
            dx = x_origin + j * pitch - x
            along, across = dx * along_x + dy * along_y, dx * along_y - dy * along_x
            beyond = max(abs(along) - span, 0.0)
            distance = np.sqrt(beyond * beyond + across * across)
            if distance > outer:
                continue
            if distance < radius - pitch:
                chord = _capsule_chord(along, across, cosine, sine, half, radius)
            else:
                chord = 0.0
                for a in range(_SUBSAMPLES):
                    v = ((a + 0.5) / _SUBSAMPLES - 0.5) * pitch
                    for b in range(_SUBSAMPLES):
                        u = ((b + 0.5) / _SUBSAMPLES - 0.5) * pitch
                        chord += _capsule_chord(
                            along + u * along_x + v * along_y,
                            across + u * along_y - v * along_x,
                            cosine, sine, half, radius,
                        )  # fmt: skip
                chord /= _SUBSAMPLES * _SUBSAMPLES
            out[i, j] += weight * chord
