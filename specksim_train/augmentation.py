"""What may be done to a labelled pair without simulating it again, as pure functions of the pair and a
generator.

A pair is a dict of (H, W) arrays: reference and sample (counts, or relative to the reference's mean), dx
and dy (pixels, along columns and rows, reference → sample) and valid (1 where ray optics holds).
"""

import math
from dataclasses import dataclass

import numpy as np

from specksim.detector import poisson_counts

Pair = dict[str, np.ndarray]


@dataclass(frozen=True)
class Augmentation:
    """How training pairs are varied.

    Attributes
    ----------
    turns : bool
        Turn and mirror pairs by the eight symmetries of the square (four for frames that are not square).
    drift_share : float
        Share of the pairs to which a drift of whole pixels is added, 0 to 1.
    drift_px : int
        Largest such drift along an axis, pixels, >= 0.
    still_share : float
        Share of the pairs replaced by two exposures of the reference, without any displacement, 0 to 1.
    gain : float
        Counts of each image are multiplied by 1 ± gain at most, 0 to 0.9.
    offset : float
        Up to this share of its mean is added to each image, >= 0: dark current, scatter.
    photons : (float, float) or None
        Range of mean counts, drawn evenly in the logarithm: images without noise are given Poisson noise,
        counted ones are thinned, which is exact as far as they hold that many photons. None: as the file
        has it.
    """

    turns: bool = True
    drift_share: float = 0.25
    drift_px: int = 2
    still_share: float = 0.03
    gain: float = 0.2
    offset: float = 0.02
    photons: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("drift_share", "still_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if not 0 <= self.gain <= 0.9:
            raise ValueError(f"gain must be between 0 and 0.9, got {self.gain}")
        if self.offset < 0 or self.drift_px < 0:
            raise ValueError(f"offset and drift_px must be >= 0, got {self.offset} and {self.drift_px}")
        if self.photons is not None and not 0 < self.photons[0] <= self.photons[1] < math.inf:
            raise ValueError(f"photons must be two numbers > 0 in ascending order, got {self.photons}")


NONE = Augmentation(False, 0.0, 0, 0.0, 0.0, 0.0, None)


def augment(pair: Pair, crop: tuple[int, int], options: Augmentation, rng: np.random.Generator) -> Pair:
    """Vary a pair and cut it to `crop` (rows, columns), see `Augmentation`."""
    if rng.random() < options.still_share:
        pair = still(pair, rng)
    offset = (0, 0)
    if rng.random() < options.drift_share:
        offset = tuple(rng.integers(-options.drift_px, options.drift_px + 1, 2).tolist())
    pair = cut(pair, crop, offset, rng)
    if options.photons is not None:
        low, high = options.photons
        pair = expose(pair, math.exp(rng.uniform(math.log(low), math.log(high))), rng)
    pair = rescale(pair, options.gain, options.offset, rng)
    if options.turns:
        transpose, flip_rows, flip_columns = (bool(bit) for bit in rng.integers(0, 2, 3))
        pair = turn(pair, transpose and crop[0] == crop[1], flip_rows, flip_columns)
    return pair


def turn(pair: Pair, transpose: bool, flip_rows: bool, flip_columns: bool) -> Pair:
    """Transpose, then mirror a pair; the displacement's components go with the axes."""
    maps = dict(pair)
    if transpose:
        maps = {name: values.T for name, values in maps.items()}
        maps["dx"], maps["dy"] = maps["dy"], maps["dx"]
    if flip_rows:
        maps = {name: values[::-1] for name, values in maps.items()}
        maps["dy"] = -maps["dy"]
    if flip_columns:
        maps = {name: values[:, ::-1] for name, values in maps.items()}
        maps["dx"] = -maps["dx"]
    return maps


def cut(pair: Pair, crop: tuple[int, int], offset: tuple[int, int], rng: np.random.Generator) -> Pair:
    """Cut a pair at a random place, the sample `offset` (rows, columns) pixels further on.

    What lay at x + d in the sample lies at x + d − offset in the cut: a drift of −offset is added to the
    label.

    Raises
    ------
    ValueError
        If the crop and the offset do not fit into the frame.
    """
    place = []
    for size, wanted, shift in zip(pair["dx"].shape, crop, offset, strict=True):
        first, last = max(0, -shift), size - wanted - max(0, shift)
        if first > last:
            raise ValueError(f"a crop of {wanted} px and an offset of {shift} px do not fit into {size} px")
        place.append(int(rng.integers(first, last + 1)))
    here = tuple(slice(start, start + wanted) for start, wanted in zip(place, crop, strict=True))
    there = tuple(
        slice(start + shift, start + shift + wanted)
        for start, wanted, shift in zip(place, crop, offset, strict=True)
    )
    return {
        "reference": pair["reference"][here],
        "sample": pair["sample"][there],
        "dx": pair["dx"][here] - np.float32(offset[1]),
        "dy": pair["dy"][here] - np.float32(offset[0]),
        "valid": pair["valid"][here],
    }


def still(pair: Pair, rng: np.random.Generator) -> Pair:
    """Two exposures of the reference, without displacement.

    Counts are split at random into two halves, which are two independent Poisson images of half the flux;
    an image without noise is used twice.
    """
    reference = pair["reference"]
    if np.issubdtype(reference.dtype, np.integer):
        first = rng.binomial(reference.astype(np.int64), 0.5)
        images = {"reference": first, "sample": reference.astype(np.int64) - first}
    else:
        images = {"reference": reference, "sample": reference}
    zero = np.zeros(reference.shape, np.float32)
    return {**images, "dx": zero, "dy": zero, "valid": np.ones(reference.shape, pair["valid"].dtype)}


def expose(pair: Pair, photons: float, rng: np.random.Generator) -> Pair:
    """Fresh photon noise at a mean count of about `photons` in the reference, see `Augmentation`."""
    if np.issubdtype(pair["reference"].dtype, np.integer):
        kept = min(1.0, photons / max(float(pair["reference"].mean()), 1.0))
        return {
            **pair,
            **{name: rng.binomial(pair[name].astype(np.int64), kept) for name in ("reference", "sample")},
        }
    scale = photons / max(float(pair["reference"].mean()), 1e-6)
    means = {name: scale * pair[name].astype(np.float64) for name in ("reference", "sample")}
    return {**pair, **{name: poisson_counts(mean, rng) for name, mean in means.items()}}


def rescale(pair: Pair, gain: float, offset: float, rng: np.random.Generator) -> Pair:
    """Other gains and offsets for each of the two images, which become float32."""
    images = {}
    for name in ("reference", "sample"):
        image = pair[name].astype(np.float32)
        factor, share = 1 + gain * rng.uniform(-1, 1), offset * rng.random()
        images[name] = np.float32(factor) * (image + np.float32(share * image.mean()))
    return {**pair, **images}
