"""A tracker of another package: one shift for the whole frame, that of the median window.

    pip install ./examples/tracker-plugin
    specksim retrieve nylon.h5 --method median-shift --option window=21

A method is a callable `(reference, sample, *, setup=None, **options) -> Retrieval`. Its keyword parameters
are its options; what it returns is checked for shape, finite values and a quality from 0 to 1.
"""

import numpy as np

from specksim.retrieval import Retrieval, lcs
from specksim.setups import Setup


def median_shift(
    reference: np.ndarray, sample: np.ndarray, *, setup: Setup | None = None, window: int = 13
) -> Retrieval:
    """The median displacement of all windows, everywhere: how far the sandpaper has drifted."""
    local = lcs(reference, sample, window=window)
    trusted = local.quality > 0.5
    if not trusted.any():
        raise ValueError("reference and sample share no pattern")
    maps = [np.full_like(values, np.median(values[trusted])) for values in (local.dx, local.dy)]
    return Retrieval(*maps, local.quality, method="median-shift", parameters={"window_px": window})
