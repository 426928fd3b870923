"""The forward model of one pair by rays in plain NumPy and SciPy: short, slow, and no kernel of the package.

The tests compare the package with it, and the benchmarks take it as the peer that a user would write.
"""

import math

import numpy as np
from scipy import ndimage

from specksim.materials import refractive_index

SUBSAMPLES = 4


def thickness(scene, grid):
    """Thickness of spheres and cylinders, (rows, columns) float64, m: mean over the cell of each point."""
    total = np.zeros(grid.shape)
    offsets = ((np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5) * grid.pitch_m
    for body in scene["bodies"]:
        radius, sign = 1e-6 * body["radius_um"], -1.0 if body.get("inclusion") else 1.0
        x, y = grid.x_m[None, :] - 1e-6 * body["x_um"], grid.y_m[:, None] - 1e-6 * body["y_um"]
        for down in offsets:
            for right in offsets:
                if body["shape"] == "sphere":
                    square, stretch = (x + right) ** 2 + (y + down) ** 2, 1.0
                else:
                    angle, stretch = body["angle_rad"], 1 / math.cos(body["tilt_rad"])
                    square = ((x + right) * math.sin(angle) - (y + down) * math.cos(angle)) ** 2
                chord = 2 * stretch * np.sqrt(np.maximum(radius**2 - square, 0))
                total += sign * chord / SUBSAMPLES**2
    return np.maximum(total, 0)


def deposit(light, dx, dy):
    """Every ray's light, spread over 3 × 3 cells about where it arrives with a quadratic B-spline."""
    rows, columns = light.shape
    y, x = np.mgrid[:rows, :columns]
    column, row = np.floor(x + dx + 0.5).astype(int), np.floor(y + dy + 0.5).astype(int)
    u, v = x + dx - column, y + dy - row
    arrived = np.zeros(light.size)
    along = (0.5 * (0.5 - u) ** 2, 0.75 - u**2, 0.5 * (0.5 + u) ** 2)
    across = (0.5 * (0.5 - v) ** 2, 0.75 - v**2, 0.5 * (0.5 + v) ** 2)
    for k, wy in zip((-1, 0, 1), across, strict=True):
        for m, wx in zip((-1, 0, 1), along, strict=True):
            inside = (row + k >= 0) & (row + k < rows) & (column + m >= 0) & (column + m < columns)
            cell = ((row + k) * columns + column + m)[inside]
            arrived += np.bincount(cell, (light * wy * wx)[inside], light.size)
    return arrived.reshape(light.shape)


def image(light, taps, n, margin_px):
    """Blur along both axes, mean over the pixels of the frame."""
    blurred = ndimage.convolve1d(ndimage.convolve1d(light, taps, axis=0), taps, axis=1)
    return pixels(blurred, n)[margin_px:-margin_px, margin_px:-margin_px]


def pixels(cells, n):
    """Mean over blocks of n × n cells."""
    return cells.reshape(cells.shape[0] // n, n, cells.shape[1] // n, n).mean((1, 3))


def simulate(setup, scene, speckle, margin_px, taps, rng=None):
    """Reference, sample, dx, dy, phase, transmission and valid of a scene behind speckle on the ray grid.

    `taps` are the blur on the ray grid: of deposited light, and of light at rest. With `rng`, counts.
    """
    n, z, k = setup.numerics.oversampling, setup.effective_distance_m, setup.wavenumber_per_m
    delta, beta = refractive_index(scene["material"], setup.beam.energy_kev)
    nodes = thickness(scene, setup.ray_nodes(margin_px))
    cells = 0.25 * (nodes[:-1, :-1] + nodes[:-1, 1:] + nodes[1:, :-1] + nodes[1:, 1:])
    slope_x = 0.5 * (np.diff(nodes[:-1], axis=1) + np.diff(nodes[1:], axis=1)) / setup.ray_pitch_m
    slope_y = 0.5 * (np.diff(nodes[:, :-1], axis=0) + np.diff(nodes[:, 1:], axis=0)) / setup.ray_pitch_m
    dx, dy = (-z * delta * slope / setup.ray_pitch_m for slope in (slope_x, slope_y))
    through = np.exp(-2 * k * beta * cells)
    reference = image(speckle, taps[1], n, margin_px)
    sample = image(deposit(speckle * through, dx, dy), taps[0], n, margin_px)
    if rng is not None:
        reference, sample = (
            rng.poisson(setup.detector.photons_per_pixel * expected) for expected in (reference, sample)
        )
    frame = (slice(margin_px, -margin_px),) * 2
    labels = (dx / n, dy / n, -k * delta * cells, through)
    truth = [pixels(values, n)[frame] for values in labels]
    return reference, sample, *truth, valid(dx / n, dy / n, n, setup)[frame]


def valid(dx, dy, n, setup):
    """0 where the displacement varies by more than 0.3 px between neighbours, and as far as fringes reach."""
    steep = np.zeros((dx.shape[0] // n, dx.shape[1] // n), bool)
    for d in (dx, dy):
        blocks = d.reshape(steep.shape[0], n, steep.shape[1], n)
        high, low = blocks.max((1, 3)), blocks.min((1, 3))
        steep |= ndimage.maximum_filter(high, 3) - ndimage.minimum_filter(low, 3) > 0.3
    fringe_px = math.sqrt(setup.wavelength_m * setup.effective_distance_m) / setup.object_pixel_m
    if not steep.any():
        return np.ones(steep.shape, np.uint8)
    return (ndimage.distance_transform_edt(~steep) > 3 * max(fringe_px, 1)).astype(np.uint8)


def warp(reference, dx, dy):
    """What is often done instead: the reference pulled back by the displacement, on the detector's grid."""
    y, x = np.mgrid[: reference.shape[0], : reference.shape[1]]
    return ndimage.map_coordinates(reference, (y - dy, x - dx), order=3, mode="mirror")
