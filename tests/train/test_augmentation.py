"""What is done to a pair must keep its label true."""

import numpy as np
import pytest

from specksim_train import augmentation
from specksim_train.augmentation import Augmentation


def moved_pair(shape=(48, 64), seed=0):
    """A random image, the same moved by whole pixels, and the label, which is not constant."""
    rng = np.random.default_rng(seed)
    wide = rng.poisson(900, (shape[0] + 20, shape[1] + 20)).astype(np.uint16)
    dx = np.where(np.arange(shape[1]) < shape[1] // 2, 2, -3) * np.ones(shape, np.float32)
    dy = np.where(np.arange(shape[0]) < shape[0] // 2, 1, 4)[:, None] * np.ones(shape, np.float32)
    sample = rng.poisson(900, shape).astype(np.uint16)
    reference = wide[10:-10, 10:-10]
    for y, x in np.ndindex(shape):
        there = y + int(dy[y, x]), x + int(dx[y, x])
        if 0 <= there[0] < shape[0] and 0 <= there[1] < shape[1]:
            sample[there] = reference[y, x]
    valid = (rng.random(shape) < 0.9).astype(np.uint8)
    return {
        "reference": reference,
        "sample": sample,
        "dx": dx.astype(np.float32),
        "dy": dy.astype(np.float32),
        "valid": valid,
    }


def agreement(pair):
    """Share of the pixels x with sample(x + d(x)) = reference(x), where that lies in the frame."""
    rows, columns = pair["dx"].shape
    y, x = np.indices((rows, columns))
    there_y, there_x = y + pair["dy"].astype(int), x + pair["dx"].astype(int)
    inside = (there_y >= 0) & (there_y < rows) & (there_x >= 0) & (there_x < columns)
    return np.mean(pair["sample"][there_y[inside], there_x[inside]] == pair["reference"][inside])


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("flip_rows", [False, True])
@pytest.mark.parametrize("flip_columns", [False, True])
def test_turned_pairs_keep_their_label(transpose, flip_rows, flip_columns):
    pair = moved_pair()
    turned = augmentation.turn(pair, transpose, flip_rows, flip_columns)
    assert agreement(turned) == agreement(pair) > 0.85
    assert turned["valid"].sum() == pair["valid"].sum()


def test_mirrored_columns_have_the_opposite_dx():
    pair = moved_pair()
    mirrored = augmentation.turn(pair, False, False, True)
    assert np.array_equal(mirrored["dx"], -pair["dx"][:, ::-1])
    assert np.array_equal(mirrored["dy"], pair["dy"][:, ::-1])


@pytest.mark.parametrize("offset", [(0, 0), (2, -1), (-3, 3)])
def test_a_drift_is_added_to_the_label(offset):
    pair = moved_pair()
    cut = augmentation.cut(pair, (32, 48), offset, np.random.default_rng(1))
    assert cut["dx"].shape == (32, 48)
    assert agreement(cut) > 0.8
    assert set(np.unique(cut["dy"])) <= {1.0 - offset[0], 4.0 - offset[0]}


def test_a_cut_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit into 48 px"):
        augmentation.cut(moved_pair(), (48, 48), (1, 0), np.random.default_rng(0))


def test_still_pairs_are_two_independent_poisson_images():
    rng = np.random.default_rng(3)
    pair = {**moved_pair(), "reference": rng.poisson(1000, (256, 256)).astype(np.uint16)}
    still = augmentation.still(pair, rng)
    assert np.array_equal(still["reference"] + still["sample"], pair["reference"])
    assert not still["dx"].any()
    assert still["valid"].all()
    assert still["reference"].var() / still["reference"].mean() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(still["reference"].ravel(), still["sample"].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_fresh_noise_is_poisson_at_the_wanted_count(dtype):
    rng = np.random.default_rng(4)
    flat = rng.poisson(1000, (200, 200)) if dtype is np.uint16 else np.ones((200, 200))
    pair = {"reference": flat.astype(dtype), "sample": flat.astype(dtype)}
    noisy = augmentation.expose(pair, 250.0, rng)
    for name in pair:
        assert noisy[name].mean() == pytest.approx(250, rel=0.01)
        assert noisy[name].var() == pytest.approx(250, rel=0.05)


def test_augmentation_depends_on_the_generator_alone():
    options = Augmentation(drift_share=0.5, drift_px=2, still_share=0.3, photons=(100, 800))
    first, again = (
        augmentation.augment(moved_pair(), (32, 32), options, np.random.default_rng(8)) for _ in range(2)
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert first["reference"].dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drift_share": 1.2}, "drift_share must be between 0 and 1, got 1.2"),
        ({"gain": 1.0}, "gain must be between 0 and 0.9"),
        ({"photons": (900.0, 100.0)}, "ascending order"),
    ],
)
def test_bad_options_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**arguments)
