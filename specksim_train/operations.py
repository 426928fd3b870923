"""Operations of the graph on batches of images, by `keras.ops` alone.

Arrays are (batch, row, column, channel), or (batch, row, column) where it says so.
"""

import math
from typing import Any

import numpy as np
from keras import ops

BLUR = (0.0625, 0.25, 0.375, 0.25, 0.0625)
"""Weights of `blur` along an axis."""


def gaussian_taps(sigma: float, truncate: float = 2.5) -> np.ndarray:
    """Samples of a Gaussian out to `truncate` sigma, (n,) float32, n odd, of sum 1."""
    reach = math.ceil(truncate * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return (taps / taps.sum()).astype(np.float32)


def smooth(images: Any, taps: np.ndarray) -> Any:
    """Convolve each channel along both axes with `taps`; beyond the frame there is nothing (zeros)."""
    channels = images.shape[-1]
    for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
        kernel = np.repeat(taps.reshape(shape), channels, axis=2)
        images = ops.depthwise_conv(images, ops.convert_to_tensor(kernel), padding="same")
    return images


def window_mean(images: Any, taps: np.ndarray) -> Any:
    """Means of each channel in windows of separable weights; at the border over what lies in the frame."""
    return smooth(images, taps) / smooth(ops.ones_like(images[..., :1]), taps)


def enlarge(images: Any, factor: int) -> Any:
    """Bilinear interpolation of block means back to pixels; the outermost half blocks repeat their mean.

    Written out, as `ops.image.resize` refuses sizes that are not known before the image is there.
    """
    for axis in (1, 2):
        cells = ops.shape(images)
        ahead = ops.take(images, ops.maximum(ops.arange(cells[axis]) - 1, 0), axis=axis)
        behind = ops.take(images, ops.minimum(ops.arange(cells[axis]) + 1, cells[axis] - 1), axis=axis)
        places = [(k + 0.5) / factor - 0.5 for k in range(factor)]
        parts = [images + abs(place) * ((ahead if place < 0 else behind) - images) for place in places]
        size = [cells[k] * factor if k == axis else cells[k] for k in range(4)]
        images = ops.reshape(ops.stack(parts, axis=axis + 1), size)
    return images


def pull_back(reference: Any, sample: Any, shift: Any) -> Any:
    """sample(x + d(x)); the reference where that lies outside of the frame.

    Images are (B, H, W), the displacement (B, H, W, 2). Between pixels the sample is interpolated by cubic
    Lagrange polynomials: with linear interpolation, and with cubic convolution, whose phase is the same,
    shifts of 0.2 px are found too large by 0.014 px, with these by 0.004 px.
    """
    batch, rows, columns = ops.shape(sample)
    y = shift[..., 1] + ops.cast(ops.reshape(ops.arange(rows), (1, -1, 1)), "float32")
    x = shift[..., 0] + ops.cast(ops.reshape(ops.arange(columns), (1, 1, -1)), "float32")
    top, left = ops.floor(y), ops.floor(x)
    # four neighbours along the row side by side: one look-up for each row of the 4 × 4 pixels
    around = ops.pad(sample, ((0, 0), (0, 0), (1, 2)), mode="reflect")
    fours = ops.stack([around[:, :, k : k + columns] for k in range(4)], axis=-1)
    fours = ops.reshape(fours, (-1, 4))
    first = ops.reshape(ops.arange(batch), (-1, 1, 1)) * (rows * columns)
    first = first + ops.clip(ops.cast(left, "int32"), 0, columns - 1)
    along_row = ops.stack(_lagrange(x - left), axis=-1)
    top_index = ops.cast(top, "int32")
    pulled = 0.0
    for k, weight in enumerate(_lagrange(y - top), start=-1):
        row = ops.clip(top_index + k, 0, rows - 1)
        line = ops.take(fours, first + row * columns, axis=0)
        pulled = pulled + weight * ops.sum(line * along_row, axis=-1)
    return ops.where(_within(y, rows) & _within(x, columns), pulled, reference)


def _lagrange(f: Any) -> list[Any]:
    """Weights of the pixels at −1, 0, 1, 2 for the value at f, 0 ≤ f < 1."""
    return [
        f * (f - 1) * (2 - f) / 6,
        (1 - f) * (1 + f) * (2 - f) / 2,
        f * (1 + f) * (2 - f) / 2,
        f * (f - 1) * (f + 1) / 6,
    ]


def _within(place: Any, size: Any) -> Any:
    return (place >= 0) & (place <= ops.cast(size - 1, "float32"))


def block_means(image: Any, block: int) -> Any:
    """Means of a (B, H, W) image over blocks of pixels."""
    _, rows, columns = ops.shape(image)
    blocks = ops.reshape(image, (-1, rows // block, block, columns // block, block))
    return ops.mean(ops.mean(blocks, axis=4), axis=2)


def blur(image: Any) -> Any:
    """A (B, H, W) image blurred with a sigma of 1 px: sums of shifted images, faster than a convolution."""
    reach = len(BLUR) // 2
    around = ops.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    _, rows, columns = ops.shape(image)
    lines = sum(weight * around[:, k : k + rows] for k, weight in enumerate(BLUR))
    return sum(weight * lines[:, :, k : k + columns] for k, weight in enumerate(BLUR))
