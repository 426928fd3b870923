"""scikit-image's optical flow as trackers (extra `[flow]`)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from specksim.retrieval.alignment import agreement
from specksim.retrieval.inputs import choose_window, speckle_images
from specksim.retrieval.result import Retrieval
from specksim.retrieval.tracking import with_phase
from specksim.setups import Setup

_LOCAL_PX = (
    16.0  # Gaussian (sigma) over which mean and contrast are made even: optical flow takes both as constant
)


def flow_ilk(
    reference: np.ndarray, sample: np.ndarray, *, setup: Setup | None = None, window: int | None = None
) -> Retrieval:
    """Displacement by iterative Lucas–Kanade, `skimage.registration.optical_flow_ilk`. [1]_

    Parameters
    ----------
    reference, sample : (H, W) or (K, H, W) array
        Counts or relative intensity. The result is the mean over exposures.
    setup : Setup, optional
        With it the phase is integrated.
    window : int, optional
        Side of the window, pixels, odd. Default: about 13/K^¼, at least 5.

    Returns
    -------
    Retrieval
        dx, dy, quality; phase.

    Raises
    ------
    ValueError
        As `umpa`.
    ModuleNotFoundError
        If scikit-image is not installed.

    References
    ----------
    .. [1] Le Besnerais and Champagnat, IEEE ICIP (2005). doi:10.1109/ICIP.2005.1529706
    """
    images = speckle_images(reference, sample, "flow-ilk")
    window = choose_window(window, len(images[0]), images[2].shape)
    return _flow(images, "optical_flow_ilk", "flow-ilk", setup, {"window_px": window}, radius=window // 2)


def flow_tvl1(reference: np.ndarray, sample: np.ndarray, *, setup: Setup | None = None) -> Retrieval:
    """Displacement of least total variation (TV-L1), `skimage.registration.optical_flow_tvl1`. [1]_

    Parameters, results and errors are those of `flow_ilk`, without a window.

    References
    ----------
    .. [1] Zach, Pock and Bischof, Pattern Recognition, LNCS 4713, 214 (2007).
    doi:10.1007/978-3-540-74936-3_22
    """
    return _flow(speckle_images(reference, sample, "flow-tvl1"), "optical_flow_tvl1", "flow-tvl1", setup, {})


def _flow(
    images: tuple[np.ndarray, np.ndarray, np.ndarray],
    function: str,
    method: str,
    setup: Setup | None,
    parameters: dict[str, Any],
    **options: Any,
) -> Retrieval:
    run = _skimage(function)
    references, samples, live = images
    # scikit-image's flow says where in the moving image what is at x in the fixed one is found: d(x)
    flows = [
        run(_evened(fixed), _evened(moving), dtype=np.float32, **options)
        for fixed, moving in zip(references, samples, strict=True)
    ]
    dy, dx = np.mean(flows, axis=0).astype(np.float32)
    quality = agreement(references, samples, dx, dy) * live
    result = Retrieval(
        dx, dy, quality, method=method, parameters={"exposures": len(references), **parameters}
    )
    return with_phase(result, setup)


def _skimage(function: str) -> Callable[..., np.ndarray]:
    try:
        from skimage import registration
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "optical flow needs scikit-image: pip install 'specksim[flow]'", name="skimage"
        ) from None
    found: Callable[..., np.ndarray] = getattr(registration, function)
    return found


def _evened(image: np.ndarray) -> np.ndarray:
    """The image with the same mean and contrast everywhere."""
    difference = image - ndimage.gaussian_filter(image, _LOCAL_PX)
    contrast = np.sqrt(ndimage.gaussian_filter(difference**2, _LOCAL_PX))
    return difference / np.maximum(contrast, np.float32(1e-6))
