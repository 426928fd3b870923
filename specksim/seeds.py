"""Random number generators, keyed so that a pair depends on nothing but (seed, split, index)."""

import numpy as np

SPLITS = ("training", "validation", "evaluation")
_FIELD, _PAIR = 0, 1


def check(seed: int, split: str) -> None:
    """Raise ValueError unless the seed lies within 0..2^63 − 1 and the split is one of `SPLITS`."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be >= 0 and below 2^63, got {seed}")


def _sequence(seed: int, split: str, kind: int, index: int) -> np.random.SeedSequence:
    check(seed, split)
    return np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), kind, index))


def field_rng(seed: int, split: str, shard: int) -> np.random.Generator:
    """Generator of a shard's sandpaper; ValueError as in `check`."""
    return np.random.default_rng(_sequence(seed, split, _FIELD, shard))


def pair_rngs(seed: int, split: str, index: int) -> list[np.random.Generator]:
    """Generators of a pair's scene, of the place of its sandpaper, of its noise; ValueError as in `check`."""
    return [np.random.default_rng(child) for child in _sequence(seed, split, _PAIR, index).spawn(3)]
