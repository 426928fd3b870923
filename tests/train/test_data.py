"""Feeds: pure functions of (seed, epoch, index), and what they refuse."""

import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

pytest.importorskip("keras")

from specksim import Setup, open_dataset
from specksim.forward import simulate_pair
from specksim.request import Request
from specksim.sandpaper import simulate_field
from specksim_train.augmentation import Augmentation, expose, still
from specksim_train.data import PairFiles, crop_size
from specksim_train.feeds import FileFeed, Readers, Simulator
from specksim_train.simulation import (
    Job,
    SimulatedPairs,
    plain_pair,
    simulate_batch,
)

VARIED = Augmentation()


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_validation_batches_are_the_pairs_of_the_file(tiny):
    images, target = FileFeed(PairFiles([tiny["training"]]), 4).batch(1)
    assert images.shape == (2, 64, 64, 2)
    assert images.dtype == target.dtype == np.float32
    with open_dataset(tiny["training"]) as dataset:
        pair = dataset[5]
    assert np.array_equal(images[1, ..., 0], pair.reference[0])
    assert np.array_equal(images[1, ..., 1], pair.sample[0])
    assert np.array_equal(target[1], np.stack([pair.dx, pair.dy, pair.valid], axis=-1))


def test_a_batch_depends_on_seed_epoch_and_index_alone(tiny):
    files = PairFiles([tiny["training"]])
    first = FileFeed(files, 2, seed=1, epoch=3, augmentation=VARIED)
    copy = pickle.loads(pickle.dumps(FileFeed(files, 2, seed=1, epoch=3, augmentation=VARIED)))
    later = first.batch(2)
    assert first.batch(0) is not None  # the order of the calls does not matter
    assert same(later, copy.batch(2))
    for other in ({"seed": 2, "epoch": 3}, {"seed": 1, "epoch": 4}):
        assert not same(later, FileFeed(files, 2, augmentation=VARIED, **other).batch(2))


def test_every_pair_comes_once_an_epoch_in_another_order(tiny):
    files = PairFiles([tiny["training"], tiny["validation"]])
    orders = [FileFeed(files, 3, epoch=epoch, augmentation=VARIED).order.tolist() for epoch in range(4)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert files.place(6) == (tiny["validation"], 0)


def test_devices_get_equal_shares(tiny):
    files = PairFiles([tiny["training"]])
    assert len(FileFeed(files, 4, devices=4).order) == 4
    with pytest.raises(ValueError, match="6 pairs cannot be shared between 8 devices"):
        FileFeed(files, 8, devices=8)


def test_workers_that_simulate_do_not_load_keras():
    with Simulator(job().pairs, seed=0) as simulator:
        worker = simulator._workers[0]
        worker.submit(simulate_batch, job()).result()
        loaded = worker.submit(eval, "set(__import__('sys').modules)").result()
    assert "specksim_train.simulation" in loaded
    assert not loaded & {"keras", "tensorflow", "jax"}


def test_workers_that_read_give_the_same_batches_and_do_not_load_keras(tiny):
    files = PairFiles([tiny["training"], tiny["validation"]])
    feed = FileFeed(files, 3, seed=1, epoch=2, augmentation=VARIED)
    with Readers(files, 2) as readers:
        prepared = readers.feed(feed)
        assert len(prepared) == len(feed) == 3
        for index in (0, 1, 0, 2):
            assert same(prepared.batch(index), feed.batch(index))
        loaded = readers._pool.submit(eval, "set(__import__('sys').modules)").result()
    assert "specksim_train.data" in loaded
    assert not loaded & {"keras", "tensorflow", "jax"}


def test_what_a_worker_cannot_read_is_raised_in_the_training(tiny, tmp_path):
    path = tmp_path / "damaged.h5"
    shutil.copyfile(tiny["training"], path)
    with h5py.File(path, "r+") as file:
        file["entry/data/dx"][2, 5, 5] = np.nan
    with Readers(PairFiles([path]), 1) as readers:
        prepared = readers.feed(FileFeed(PairFiles([path]), 6, augmentation=VARIED))
        with pytest.raises(ValueError, match="pair 2: dx must be finite"):
            prepared[0]
    assert isinstance(prepared.failure, ValueError)


def test_a_reader_that_dies_ends_the_training_with_one_line(tiny):
    files = PairFiles([tiny["training"]])
    with Readers(files, 1) as readers:
        prepared = readers.feed(FileFeed(files, 2, augmentation=VARIED))
        readers._pool.submit(os._exit, 1)
        with pytest.raises(RuntimeError, match="a process that prepares batches has died"):
            prepared[0]


def test_the_crop_leaves_room_for_the_drift():
    assert crop_size((256, 256), Augmentation(drift_px=2), None) == (240, 240)
    assert crop_size((256, 200), Augmentation(drift_share=0.0), None) == (256, 192)
    with pytest.raises(
        ValueError,
        match="<= 240, in frames of 256 × 256 with room for a drift of 2 px, got 250",
    ):
        crop_size((256, 256), Augmentation(), 250)


def test_images_without_noise_are_given_fresh_noise(tiny):
    feed = [
        FileFeed(PairFiles([tiny["noiseless"]]), 2, epoch=k, augmentation=Augmentation(photons=(500, 500)))
        for k in (0, 1)
    ]
    images = feed[0].batch(0)[0]
    assert 350 < images[..., 0].mean() < 700
    assert not same(feed[0].batch(0), feed[1].batch(0))


def test_a_survey_says_what_was_seen(tiny):
    survey = PairFiles([tiny["training"]]).survey()
    assert (survey.pairs, survey.frame) == (6, (64, 64))
    assert 0.3 < survey.visibility[0] <= survey.visibility[1] < 0.8
    assert 1500 < survey.photons[0] <= survey.photons[1] < 2500
    assert survey.displacement_px > 0.01
    assert len(survey.content_hashes[str(tiny["training"])]) > 8


def spoiled(source, target, change):
    shutil.copy(source, target)
    with h5py.File(target, "r+") as file:
        change(file)
    return target


def test_another_frame_size_is_refused(tiny):
    with pytest.raises(ValueError, match=r"wide.h5: frames are 64 × 80, those of .* are 64 × 64"):
        PairFiles([tiny["training"], tiny["wide"]])


def test_another_schema_is_refused(tiny, tmp_path):
    path = spoiled(
        tiny["training"], tmp_path / "old.h5", lambda file: file.attrs.modify("schema_version", 99)
    )
    with pytest.raises(ValueError, match=r"old.h5: schema version 99"):
        PairFiles([path])
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ValueError, match=r"text.h5: not an HDF5 file"):
        PairFiles([tmp_path / "text.h5"])
    with pytest.raises(FileNotFoundError):
        PairFiles([tmp_path / "none.h5"])
    with pytest.raises(ValueError, match="at least one data set"):
        PairFiles([])


def test_nan_is_refused(tiny, tmp_path):
    def change(file):
        file["/entry/data/dx"][3, 5, 5] = np.nan

    files = PairFiles([spoiled(tiny["training"], tmp_path / "nan.h5", change)])
    with pytest.raises(ValueError, match=r"nan.h5: pair 3: dx must be finite"):
        files.survey()


def job(**changes):
    setup = Setup.load("imbl-28kev").with_values(detector__rows=64, detector__columns=64)
    pairs = SimulatedPairs(Request.create(setup, material="mixed", drift=0.5), 8)
    return Job(
        **{"pairs": pairs, "seed": 0, "epoch": 0, "index": 0, "pairs_in_batch": 2, "augmentation": None}
        | changes
    )


def test_simulated_batches_depend_on_seed_epoch_and_index_alone():
    first = simulate_batch(job())
    assert same(first, simulate_batch(job()))
    for changes in ({"seed": 1}, {"epoch": 1}, {"index": 1}):
        assert not same(first, simulate_batch(job(**changes)))


def test_simulated_pairs_count_photons_that_can_be_split_and_thinned():
    setup = Setup.load("imbl-28kev").with_values(detector__rows=64, detector__columns=64)
    field = simulate_field(setup, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    scene = {"geometry": "empty", "material": "nylon"}
    pair = plain_pair(simulate_pair(setup, scene, field, rng, rng))
    for varied, mean in ((still(pair, rng), 1000), (expose(pair, 500, rng), 500)):
        first, second = (varied[name].astype(np.float64) for name in ("reference", "sample"))
        assert first.mean() == pytest.approx(mean, rel=0.2)
        # independent Poisson noise: the variance of the difference is the sum of the means
        assert np.var(first - second) / np.mean(first + second) == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_the_number_of_workers_does_not_matter():
    batches = []
    for workers in (1, 2):
        pairs = SimulatedPairs(job().pairs.request, 8, workers)
        with Simulator(pairs, seed=4) as simulator:
            feed = simulator.feed(1, 2, VARIED)
            batches.append([feed.batch(k) for k in range(len(feed))])
    assert all(same(one, two) for one, two in zip(*batches, strict=True))
