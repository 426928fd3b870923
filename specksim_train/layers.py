"""Layers without parameters: what can be computed from two images is not left to be learned.

All of them run in float32, whatever the policy of the network around them, and use `keras.ops` alone.
Arrays are (batch, row, column, channel); displacements (dx, dy) are in pixels, along columns and rows, from
the reference to the sample.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from specksim_train.operations import (
    BLUR,
    block_means,
    blur,
    enlarge,
    gaussian_taps,
    pull_back,
    smooth,
    window_mean,
)

_PACKAGE = "specksim"
_LEAST_MEAN = 1e-6
_SOFTEST = 1e-4
"""Added to the diagonal of the normal equations (images have mean 1): where there is no speckle, the
displacement is 0 and not noise over noise."""
_LARGEST_STEP_PX = 2.0
"""What a single round may find: beyond the width of a speckle the first order means nothing."""


class Parameterless(keras.layers.Layer):
    """A layer in float32 without parameters. Each has a `radius_px`: how far its output looks around."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(trainable=False, **{key: kwargs[key] for key in kwargs if key != "trainable"})
        self.built = True


@keras.saving.register_keras_serializable(package=_PACKAGE)
class LocalNormalization(Parameterless):
    """Divide each image by its own local mean: raw counts in, values around 1 out.

    The local mean is a Gaussian window's, computed on blocks of pixels; at the border only what lies
    in the frame counts. So the output depends neither on the scale of the counts, nor on the flux between the
    two exposures, nor, but for the window's reach, on where a tile was cut.

    Parameters
    ----------
    sigma_px : float
        Sigma of the window, pixels, > 0.
    block_px : int
        Side of the blocks, pixels, >= 1; the frame must be a multiple of it.
    """

    def __init__(self, sigma_px: float = 16.0, block_px: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _require_positive(sigma_px=sigma_px, block_px=block_px)
        self.sigma_px, self.block_px = float(sigma_px), int(block_px)
        self._taps = gaussian_taps(self.sigma_px / self.block_px)

    def call(self, counts: Any) -> Any:
        blocks = ops.average_pool(counts, self.block_px, strides=self.block_px)
        mean = enlarge(window_mean(blocks, self._taps), self.block_px)
        return counts / ops.maximum(mean, _LEAST_MEAN)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)

    @property
    def radius_px(self) -> int:
        return self.block_px * (len(self._taps) // 2 + 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sigma_px": self.sigma_px, "block_px": self.block_px}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class IteratedShift(Parameterless):
    """Displacement of the sample in Gaussian windows, by iterated least squares to first order (LCS).

    In each window sample(x + d) ≈ t · (reference − e · ∇reference) is solved for t and e; d grows by e, and
    the sample is pulled back by the new d for the next round. The first round looks at blocks of 2 × 2
    pixels, which extends its range to shifts of some 3 px. Noise in ∇reference shrinks e, but not the sum
    of the rounds.

    Input: (B, H, W, 2) reference and sample of local mean 1. Output: (B, H, W, 2): d, (dx, dy), pixels.

    Parameters
    ----------
    sigmas_px : sequence of float
        Sigma of the windows in each round, pixels, > 0: wide ones first, which find large shifts.
    limit_px : float
        Largest |d| along an axis, pixels, > 0.

    Notes
    -----
    After Quénot et al., Optica 8, 1412, 2021, doi:10.1364/OPTICA.434954. Differences and
    interpolation are least accurate for the sharpest speckle: for windows of 6 px and more both images are
    blurred with a sigma of 1 px. Narrower ones see them as they are: what the wide ones left is small, and
    blurring would cost them contrast that they cannot spare.
    """

    def __init__(
        self, sigmas_px: Sequence[float] = (8.0, 8.0, 8.0, 3.0), limit_px: float = 8.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sigmas_px, self.limit_px = _sigmas(sigmas_px), float(limit_px)
        _require_positive(limit_px=limit_px)

    def call(self, pair: Any) -> Any:
        reference, sample = pair[..., 0], pair[..., 1]
        small = [blur(block_means(image, 2)) for image in (reference, sample)]
        shift = 2.0 * enlarge(_step(_Slopes(small[0]), small[1], 0.5 * self.sigmas_px[0]), 2)
        sharp, blurred = _Slopes(reference), _Slopes(blur(reference))
        for sigma_px in self.sigmas_px[1:]:
            pulled = pull_back(reference, sample, shift)
            if _is_wide(sigma_px):
                shift = shift + _step(blurred, blur(pulled), sigma_px)
            else:
                shift = shift + _step(sharp, pulled, sigma_px)
            shift = ops.clip(shift, -self.limit_px, self.limit_px)
        return shift

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 2)

    @property
    def radius_px(self) -> int:
        blur = len(BLUR) // 2 + 1
        first = 2 * (blur + _window_radius_px(0.5 * self.sigmas_px[0]) + 2) + 1
        pulled = math.ceil(self.limit_px) + 2
        return first + sum(blur + _window_radius_px(sigma_px) + pulled for sigma_px in self.sigmas_px[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sigmas_px": list(self.sigmas_px), "limit_px": self.limit_px}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class PullBack(Parameterless):
    """Pull the sample back by a displacement: sample(x + d(x)) on the reference's grid.

    Input: [(B, H, W, 2) reference and sample, (B, H, W, 2) d]. Output: (B, H, W, 2): the reference, and the
    sample pulled back; where x + d(x) lies outside of the frame, the reference again: nothing is known there.

    Parameters
    ----------
    limit_px : float
        Largest displacement along an axis, pixels, > 0; greater ones are cut off.
    """

    def __init__(self, limit_px: float = 8.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _require_positive(limit_px=limit_px)
        self.limit_px = float(limit_px)

    def call(self, inputs: Any) -> Any:
        pair, shift = inputs
        shift = ops.clip(shift, -self.limit_px, self.limit_px)
        return ops.stack([pair[..., 0], pull_back(pair[..., 0], pair[..., 1], shift)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape[0])

    @property
    def radius_px(self) -> int:
        return math.ceil(self.limit_px) + 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "limit_px": self.limit_px}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class WindowedShifts(Parameterless):
    """Displacement and transmission of the sample in Gaussian windows of several widths, to first order.

    Input: (B, H, W, 2) reference and sample of local mean 1, the sample pulled back. Output: (B, H, W, 3 n):
    for each of n windows what `IteratedShift` solves for once: e along columns and rows, pixels, and t.

    Parameters
    ----------
    sigmas_px : sequence of float
        Sigmas of the windows, pixels, each > 0.
    """

    def __init__(self, sigmas_px: Sequence[float] = (1.5, 3.0, 8.0), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sigmas_px = _sigmas(sigmas_px)

    def call(self, pair: Any) -> Any:
        fine = _Slopes(pair[..., 0]).products(pair[..., 1], 2)
        found = []
        for sigma_px in self.sigmas_px:
            products = fine if _block(sigma_px) == 2 else ops.average_pool(fine, 2, strides=2)
            found.append(_solve_in_windows(products, sigma_px))
        return ops.concatenate(found, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 3 * len(self.sigmas_px))

    @property
    def radius_px(self) -> int:
        return 1 + max(map(_window_radius_px, self.sigmas_px))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sigmas_px": list(self.sigmas_px)}


def _sigmas(sigmas_px: Sequence[float]) -> tuple[float, ...]:
    """Sigmas of windows, checked."""
    if not len(sigmas_px):
        raise ValueError("sigmas_px must hold at least one number")
    for sigma_px in sigmas_px:
        _require_positive(sigmas_px=sigma_px)
    return tuple(float(sigma_px) for sigma_px in sigmas_px)


def _block(sigma_px: float) -> int:
    """Side of the blocks of pixels on which a window is evaluated: wide windows lose nothing by it."""
    return 4 if _is_wide(sigma_px) else 2


def _is_wide(sigma_px: float) -> bool:
    return sigma_px >= 6


def _window_radius_px(sigma_px: float) -> int:
    """How far a window looks, with the interpolation between its blocks."""
    block = _block(sigma_px)
    return block * (len(gaussian_taps(sigma_px / block)) // 2 + 2)


def _solve_in_windows(products: Any, sigma_px: float) -> Any:
    """`solve` in Gaussian windows, from block means of products, at every pixel."""
    block = _block(sigma_px)
    solved = solve(smooth(products, gaussian_taps(sigma_px / block)))
    return enlarge(ops.clip(solved, -_LARGEST_STEP_PX, _LARGEST_STEP_PX), block)


def _step(slopes: "_Slopes", sample: Any, sigma_px: float) -> Any:
    """What one round finds."""
    return _solve_in_windows(slopes.products(sample, _block(sigma_px)), sigma_px)[..., :2]


class _Slopes:
    """The reference's part of the least squares, which all rounds share; images are (B, H, W)."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference
        around = ops.pad(reference, ((0, 0), (1, 1), (1, 1)), mode="reflect")
        self.x = 0.5 * (around[:, 1:-1, 2:] - around[:, 1:-1, :-2])
        self.y = 0.5 * (around[:, 2:, 1:-1] - around[:, :-2, 1:-1])
        self._own: dict[int, list[Any]] = {}

    def products(self, sample: Any, block: int) -> Any:
        """Block means of the products that `solve` needs, (B, H / block, W / block, 9)."""
        r, x, y = self.reference, self.x, self.y
        if block not in self._own:
            own = [r * r, r * x, r * y, x * x, x * y, y * y]
            self._own[block] = [block_means(product, block) for product in own]
        change = sample - r
        mixed = [block_means(product, block) for product in (r * change, x * change, y * change)]
        return ops.stack([*self._own[block], *mixed], axis=-1)


def solve(sums: Any) -> Any:
    """Least squares of change = (t − 1) reference − t e · slope from windowed sums of products.

    Parameters
    ----------
    sums : (..., 9)
        Of reference², reference·slope_x, reference·slope_y, slope_x², slope_x·slope_y, slope_y²,
        reference·change, slope_x·change, slope_y·change; change = sample − reference.

    Returns
    -------
    (..., 3)
        e along columns, e along rows, t.
    """
    rr, rx, ry, xx, xy, yy, rc, xc, yc = (sums[..., k] for k in range(9))
    rr = rr + _LEAST_MEAN
    # eliminate t − 1 first: the speckle's slopes are almost orthogonal to the speckle
    xx = xx - rx * rx / rr + _SOFTEST * rr
    yy = yy - ry * ry / rr + _SOFTEST * rr
    xy = xy - rx * ry / rr
    xc = xc - rx * rc / rr
    yc = yc - ry * rc / rr
    determinant = xx * yy - xy * xy
    along_x = (xy * yc - yy * xc) / determinant  # t e
    along_y = (xy * xc - xx * yc) / determinant
    transmission = 1.0 + (rc + rx * along_x + ry * along_y) / rr
    safe = ops.maximum(transmission, 0.1)
    return ops.stack([along_x / safe, along_y / safe, transmission], axis=-1)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class Channels(Parameterless):
    """Channels `first` … `stop` − 1 of its input, times `scale`, plus `offset`."""

    def __init__(self, first: int, stop: int, scale: float = 1.0, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first, self.stop, self.scale, self.offset = int(first), int(stop), float(scale), float(offset)

    def call(self, images: Any) -> Any:
        return images[..., self.first : self.stop] * self.scale + self.offset

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.stop - self.first)

    @property
    def radius_px(self) -> int:
        return 0

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "first": self.first,
            "stop": self.stop,
            "scale": self.scale,
            "offset": self.offset,
        }


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be > 0 and finite, got {value}")
