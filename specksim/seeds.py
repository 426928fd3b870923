"""Random number generators, keyed so that a pair depends on nothing but (seed, split, index)."""

import numpy as np

SPLITS = ("training", "validation", "evaluation")
_FIELD, _PAIR = 0, 1


def _sequence(seed: int, split: str, kind: int, index: int) -> np.random.SeedSequence:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    return np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), kind, index))


def field_rng(seed: int, split: str, shard: int) -> np.random.Generator:
    """Generator of a shard's sandpaper."""
    return np.random.default_rng(_sequence(seed, split, _FIELD, shard))


def pair_rngs(seed: int, split: str, index: int) -> list[np.random.Generator]:
    """Generators of a pair's scene, of the place of its sandpaper, and of its noise."""
    return [np.random.default_rng(child) for child in _sequence(seed, split, _PAIR, index).spawn(3)]
