"""What is refused before a training begins."""

import numpy as np
import pytest

pytest.importorskip("keras")

from specksim import Setup, generate
from specksim_train import configuration
from specksim_train.data import PairFiles
from specksim_train.settings import Settings
from specksim_train.training import fit

SMALL = Settings(architecture="unet", base_filters=2, epochs=3, batch_size=3)


@pytest.mark.parametrize(
    ("changes", "split", "message"),
    [
        ({}, "training", "another sandpaper than .*training.h5, got the same split and seed, training and 0"),
        ({"beam__energy_kev": 60.0}, "validation", r"the beamline of the training.*\(60 keV, 2 m, 9.9 µm\)"),
    ],
)
def test_validation_pairs_must_be_others_of_the_same_beamline(tiny, tmp_path, changes, split, message):
    setup = PairFiles([tiny["training"]]).requests[str(tiny["training"])].setup.with_values(**changes)
    other = generate(tmp_path / "other.h5", setup, n=1, split=split)
    with pytest.raises(ValueError, match=message):
        fit([tiny["training"]], tmp_path / "run", validation=other, settings=SMALL)
    assert not (tmp_path / "run").exists()


def test_a_measured_sandpaper_is_that_of_all_splits(tmp_path):
    setup = Setup().with_values(detector__rows=32, detector__columns=32, diffuser__sheets=1)
    for seed, name in enumerate(("one", "two")):
        speckle = np.random.default_rng(seed).gamma(4.0, 250.0, (80, 80))
        np.save(tmp_path / f"{name}.npy", speckle)
    made = {
        (name, split): generate(
            tmp_path / f"{name}-{split}.h5", setup, n=1, split=split, reference=tmp_path / f"{name}.npy"
        )
        for name, split in (("one", "training"), ("one", "validation"), ("two", "training"))
    }
    held_out = [PairFiles([made[key]]) for key in (("one", "validation"), ("two", "training"))]
    trained = PairFiles([made["one", "training"]])
    with pytest.raises(ValueError, match=r"another measured sandpaper than .*one-training.h5, got the same"):
        configuration.require_held_out(held_out[0], trained, None)
    configuration.require_held_out(held_out[1], trained, None)


def test_grey_values_are_not_split_like_photons(tmp_path):
    setup = Setup().with_values(detector__rows=32, detector__columns=32, diffuser__sheets=1)
    path = generate(tmp_path / "grey.h5", setup.with_values(detector__gain=0.5), n=1)
    with pytest.raises(ValueError, match=r"grey.h5: still_share must be 0 and photons left out"):
        fit([path], tmp_path / "run", settings=SMALL)
    assert not (tmp_path / "run").exists()
