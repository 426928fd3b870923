"""Values for pixels that have none of their own."""

import numpy as np
from scipy import ndimage


def from_nearest(maps: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Give pixels that are not good the values of the nearest good one; 0 if none is.

    Parameters
    ----------
    maps : (..., H, W) array
    good : (H, W) bool array

    Returns
    -------
    (..., H, W) array
        `maps` itself if all are good.
    """
    if good.all():
        return maps
    if not good.any():
        return np.zeros_like(maps)
    nearest = ndimage.distance_transform_edt(~good, return_distances=False, return_indices=True)
    return np.ascontiguousarray(maps[..., *nearest])
