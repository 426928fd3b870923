"""XST: X-ray speckle tracking by zero-normalised cross-correlation."""

import numpy as np

from specksim.retrieval.result import Retrieval
from specksim.retrieval.tracking import track_by_matching
from specksim.setups import Setup


def xst(
    reference: np.ndarray,
    sample: np.ndarray,
    *,
    setup: Setup | None = None,
    window: int | None = None,
    max_shift: int = 4,
    workers: int = 1,
) -> Retrieval:
    """Displacement, transmission and dark field by zero-normalised cross-correlation. [1]_

    Parameters
    ----------
    reference, sample : (H, W) or (K, H, W) array
        Counts or relative intensity; covariances and variances of K exposures are added up.
    setup : Setup, optional
        With it the phase is integrated.
    window : int, optional
        Side of the square, evenly weighted window, pixels, odd, >= 3. Default: about 13/K^¼, at least 5.
    max_shift : int
        Largest displacement along each axis, pixels.
    workers : int
        Threads.

    Returns
    -------
    Retrieval
        dx, dy, quality, transmission, dark_field, dx_error, dy_error; phase. Quality as `umpa`.

    Raises
    ------
    ValueError
        As `umpa`.

    Notes
    -----
    The whole-pixel maximum of the correlation is refined by a parabola and then on the interpolated
    reference: the shift, gain and mean that fit best in the least-squares sense are those of the largest
    correlation. For one exposure this is UMPA with dark field, but for the window.

    References
    ----------
    .. [1] Zdora, J. Imaging 4, 60 (2018). doi:10.3390/jimaging4050060
    """
    return track_by_matching(
        reference,
        sample,
        method="xst",
        window=window,
        kind="boxcar",
        max_shift=max_shift,
        zero_mean=True,
        setup=setup,
        workers=workers,
    )
