"""A square array of concave parabolic lenses, as a geometry of specksim.

Every lens moves the speckle by an amount that grows linearly from its middle.
"""

import math

import numpy as np


class LensArray:
    """What specksim asks of a geometry: `draw` and `thickness`."""

    def draw(self, rng, setup):
        """Draw pitch, curvature and place of the lenses: plain JSON values, all that `thickness` needs.

        Parameters
        ----------
        rng : numpy.random.Generator
            The only source of randomness: a pair must come out the same in every run.
        setup : specksim.Setup

        Returns
        -------
        dict
        """
        detector = setup.detector
        side_um = 1e6 * setup.object_pixel_m * min(detector.rows, detector.columns)
        pitch_um = rng.uniform(0.15, 0.4) * side_um
        edge_slope = math.exp(rng.uniform(math.log(0.15), math.log(0.6)))
        return {
            "pitch_um": pitch_um,
            "curvature_radius_um": pitch_um / (2 * edge_slope),
            "x_um": rng.uniform(-0.5, 0.5) * pitch_um,
            "y_um": rng.uniform(-0.5, 0.5) * pitch_um,
        }

    def thickness(self, scene, grid):
        """T = r² / 2R with r from the middle of the nearest lens and R its radius of curvature.

        Parameters
        ----------
        scene : dict
            What was drawn, and `scene["material"]`.
        grid : specksim.grid.Grid
            Points in the object plane: `x_m` along columns, `y_m` along rows, from the frame's middle.

        Returns
        -------
        dict of str to (rows, columns) float32
            Thickness, m, >= 0, by name of the material.
        """
        pitch = 1e-6 * scene["pitch_um"]

        def from_nearest(position, middle_um):
            way = position - 1e-6 * middle_um
            return way - pitch * np.round(way / pitch)

        x = from_nearest(grid.x_m, scene["x_um"])
        y = from_nearest(grid.y_m, scene["y_um"])[:, None]
        thickness = (x**2 + y**2) / (2e-6 * scene["curvature_radius_um"])
        return {scene["material"]: thickness.astype(np.float32)}


lens_array = LensArray()
