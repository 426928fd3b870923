"""Random numbers depend on (seed, split, index) and on nothing else."""

import itertools

import numpy as np
import pytest

from specksim import seeds


def state(generator: np.random.Generator) -> int:
    return generator.bit_generator.state["state"]["state"]


def test_same_key_same_numbers():
    assert state(seeds.field_rng(3, "training", 5)) == state(seeds.field_rng(3, "training", 5))
    pairs = [seeds.pair_rngs(3, "training", 5) for _ in range(2)]
    assert [state(rng) for rng in pairs[0]] == [state(rng) for rng in pairs[1]]


def test_no_two_keys_share_their_numbers():
    states = []
    for seed, split, index in itertools.product((0, 1, 2**32, 2**40 + 1), seeds.SPLITS, range(20)):
        states.append(state(seeds.field_rng(seed, split, index)))
        states += [state(rng) for rng in seeds.pair_rngs(seed, split, index)]
    assert len(set(states)) == len(states)


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split must be one of training, validation, evaluation, got 'test'"):
        seeds.field_rng(0, "test", 0)


@pytest.mark.parametrize("draw", [seeds.field_rng, seeds.pair_rngs])
def test_negative_seed_is_refused(draw):
    with pytest.raises(ValueError, match=r"seed must be >= 0 and below 2\^63, got -1"):
        draw(-1, "training", 0)


def test_a_seed_that_would_reach_into_the_key_is_refused():
    with pytest.raises(ValueError, match=r"below 2\^63"):
        seeds.field_rng(2**63, "training", 0)
