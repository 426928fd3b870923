"""Finished files that grow, and shards that are simulated one by one and merged."""

import dataclasses
import fcntl
import json
import shutil

import h5py
import pytest

from specksim import generation
from specksim.dataset import open_dataset
from specksim.dataset.writer import versions
from specksim.generation import merge_shards, run_plan
from specksim.locks import lock
from specksim.plan import make_plan
from specksim.request import Request
from tests.runs import SETUP, content_hash, interrupt_after, interrupted, names, plan, same_pair

# ---- a finished file grows --------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "bitshuffle", "gzip"])
@pytest.mark.parametrize("few", [2, 3, 4, 6])
def test_a_finished_file_is_extended_to_the_file_of_one_run(few, compression, tmp_path, seven):
    path = tmp_path / "x.h5"
    run_plan(plan(path, n=few, compression=compression))
    simulated = run_plan(plan(path, compression=compression), resume=True)
    assert simulated == 7 - few // 3 * 3  # the last shard, if it was not whole, is done again
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(path) == content_hash(seven)
    with open_dataset(path, verify=True) as extended, open_dataset(seven) as straight:
        assert extended.planned_pairs() == 7
        assert all(same_pair(extended[i], straight[i]) for i in range(7))


def test_a_file_is_extended_with_several_positions_of_the_sandpaper(tmp_path):
    run_plan(plan(tmp_path / "x.h5", n=3, steps=2))
    run_plan(plan(tmp_path / "x.h5", n=4, steps=2), resume=True)
    run_plan(plan(tmp_path / "y.h5", n=4, steps=2))
    assert content_hash(tmp_path / "x.h5") == content_hash(tmp_path / "y.h5")
    with open_dataset(tmp_path / "x.h5", verify=True) as dataset:
        assert len(list(dataset)) == 4


@pytest.mark.parametrize(("workers", "compression"), [(2, "none"), (3, "bitshuffle")])
def test_n_pairs_begin_twice_as_many(workers, compression, tmp_path, seven):
    run_plan(plan(tmp_path / "x.h5", n=14, compression=compression), workers=workers)
    with open_dataset(tmp_path / "x.h5", verify=True) as many, open_dataset(seven) as few:
        assert len(many) == 14
        assert all(same_pair(many[i], few[i]) for i in range(7))


def test_an_interrupted_extension_goes_on(tmp_path, seven):
    path = tmp_path / "x.h5"
    run_plan(plan(path, n=3))
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan(path), resume=True, progress=interrupt_after(7))
    assert names(tmp_path) == ["x.h5", "x.h5.shard-00001"]
    with open_dataset(path) as old:
        assert len(old) == 3
    with pytest.raises(FileExistsError, match="--overwrite replaces it, --resume extends it"):
        run_plan(plan(path))
    assert run_plan(plan(path), resume=True) == 1
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(path) == content_hash(seven)


def test_a_finished_file_asked_for_again_leaves_the_shards_of_a_longer_run(tmp_path):
    path = tmp_path / "x.h5"
    run_plan(plan(path, n=3))
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan(path), resume=True, progress=interrupt_after(7))
    assert run_plan(plan(path, n=3), resume=True) == 0
    assert names(tmp_path) == ["x.h5", "x.h5.shard-00001"]


def test_an_extension_of_another_request_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    run_plan(plan(path, n=3))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"x.h5 cannot be resumed: seed: 0 there, 1 asked for"):
        run_plan(plan(path, seed=1), resume=True)
    with pytest.raises(ValueError, match=r"compression: 'none' there, 'gzip' asked for"):
        run_plan(plan(path, compression="gzip"), resume=True)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["x.h5"]


@pytest.mark.parametrize("package", ["specksim", "numpy", "scipy", "numba", "xraylib"])
def test_pairs_of_other_versions_are_not_mixed(package, tmp_path, seven):
    path = shutil.copy(seven, tmp_path / "x.h5")
    with h5py.File(path, "r+") as file:
        del file["entry/setup/versions"]
        file["entry/setup/versions"] = json.dumps(versions() | {package: "0.0.1"})
    with pytest.raises(ValueError, match=f"{package}: '0.0.1' there, '{versions()[package]}' asked for"):
        run_plan(plan(path, n=9), resume=True)


def test_a_damaged_shard_is_named_with_the_way_out(tmp_path, seven):
    interrupted(tmp_path / "x.h5")
    shard = tmp_path / "x.h5.shard-00000"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"x.h5.shard-00000: not an HDF5 file, or damaged.*remove the file"):
        run_plan(plan(tmp_path / "x.h5"), resume=True)
    shard.unlink()
    run_plan(plan(tmp_path / "x.h5"), resume=True)
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


# ---- shares -----------------------------------------------------------------------------------------


def test_shares_make_the_file_of_one_run(tmp_path, seven):
    path = tmp_path / "x.h5"
    assert run_plan(plan(path), share=(2, 2)) == 3
    assert names(tmp_path) == ["x.h5.shard-00001"]
    assert run_plan(plan(path), share=(1, 2)) == 4
    assert names(tmp_path) == [f"x.h5.shard-0000{k}" for k in range(3)]
    merged, shards = merge_shards(path)
    assert (merged.n, shards) == (7, 3)
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(path) == content_hash(seven)
    assert merge_shards(path)[1] == 0


def test_a_share_beyond_the_last_shard_has_nothing_to_do(tmp_path):
    assert run_plan(plan(tmp_path / "x.h5"), share=(4, 4)) == 0
    assert names(tmp_path) == []


@pytest.mark.parametrize("share", [(0, 2), (3, 2), (-1, 2), (1, 0)])
def test_shares_are_counted_from_one(share, tmp_path):
    with pytest.raises(ValueError, match=f"1 <= I <= N, got {share[0]}/{share[1]}"):
        run_plan(plan(tmp_path / "x.h5"), share=share)


def test_missing_shards_are_not_merged(tmp_path):
    run_plan(plan(tmp_path / "x.h5"), share=(1, 3))
    with pytest.raises(ValueError, match=r"2 of 3 shards are missing \(1, 2\)"):
        merge_shards(tmp_path / "x.h5")
    assert names(tmp_path) == ["x.h5.shard-00000"]


def test_the_last_shard_is_missed_too(tmp_path):
    run_plan(plan(tmp_path / "x.h5"), share=(1, 3))
    run_plan(plan(tmp_path / "x.h5"), share=(2, 3))
    with pytest.raises(ValueError, match=r"1 of 3 shards are missing \(2\)"):
        merge_shards(tmp_path / "x.h5")


def test_there_must_be_something_to_merge(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no shards of it \(x.h5.shard-00000"):
        merge_shards(tmp_path / "x.h5")
    assert names(tmp_path) == []


def test_a_share_is_not_done_again_silently(tmp_path):
    path = tmp_path / "x.h5"
    run_plan(plan(path), share=(1, 2))
    before = {name: (tmp_path / name).stat().st_ino for name in names(tmp_path)}
    with pytest.raises(FileExistsError, match="--resume goes on, --overwrite starts anew"):
        run_plan(plan(path), share=(1, 2))
    assert run_plan(plan(path), share=(1, 2), resume=True) == 0
    assert {name: (tmp_path / name).stat().st_ino for name in names(tmp_path)} == before
    assert run_plan(plan(path), share=(1, 2), overwrite=True) == 4
    assert list(before) == names(tmp_path)


def test_shares_of_different_requests_are_not_merged(tmp_path):
    run_plan(plan(tmp_path / "x.h5"), share=(1, 2))
    run_plan(plan(tmp_path / "x.h5", seed=1), share=(2, 2))
    with pytest.raises(ValueError, match=r"shard-0000\d cannot be resumed: seed: "):
        merge_shards(tmp_path / "x.h5")
    assert len(names(tmp_path)) == 3


def test_shares_extend_a_finished_file(tmp_path, seven):
    path = tmp_path / "x.h5"
    run_plan(plan(path, n=3))
    for number in (1, 2):
        run_plan(plan(path), share=(number, 2), resume=True)
    assert names(tmp_path) == ["x.h5", "x.h5.shard-00001", "x.h5.shard-00002"]
    assert merge_shards(path)[1] == 2
    assert content_hash(path) == content_hash(seven)


def test_a_share_beside_another_request_s_file_is_refused_before_the_work(tmp_path):
    path = tmp_path / "x.h5"
    run_plan(plan(path, n=1, seed=1))
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match="seed: 1 there, 0 asked for"):
            run_plan(plan(path), share=(1, 2), **options)
    assert names(tmp_path) == ["x.h5"]


def test_numbers_of_shards_grow_beyond_five_digits(tmp_path):
    request = Request.create(SETUP.with_values(numerics__pairs_per_field=1))
    long = make_plan(request, 123_457, tmp_path / "x.h5")
    last = long.shards[-1]
    long.shard_path(last.number).touch()
    assert long.finished() == {123_456: tmp_path / "x.h5.shard-123456"}


# ---- runs at the same time --------------------------------------------------------------------------


def test_shares_run_side_by_side_and_nothing_else_does(tmp_path):
    path = tmp_path / "x.h5"

    def while_it_runs(_):
        run_plan(plan(path), share=(2, 2))
        with pytest.raises(OSError, match="another run is writing"):
            run_plan(plan(path), resume=True)
        with pytest.raises(OSError, match="another run is writing"):
            merge_shards(path)

    run_plan(plan(path), share=(1, 2), announce=while_it_runs)
    assert names(tmp_path) == [f"x.h5.shard-0000{k}" for k in range(3)]
    merge_shards(path)
    assert names(tmp_path) == ["x.h5"]


def test_a_share_does_not_run_beside_a_whole_run(tmp_path):
    def while_it_runs(_):
        with pytest.raises(OSError, match="another run is writing"):
            run_plan(plan(tmp_path / "x.h5"), share=(1, 2), overwrite=True)

    run_plan(plan(tmp_path / "x.h5", n=1), announce=while_it_runs)


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """The last holder removes the file between our opening it and our locking it."""
    flock = fcntl.flock
    calls = []

    def late(handle, mode):
        calls.append(mode)
        if len(calls) == 1:
            (tmp_path / "x.h5.lock").unlink()
        flock(handle, mode)

    monkeypatch.setattr(fcntl, "flock", late)
    with lock(tmp_path / "x.h5", shared=True):
        assert (tmp_path / "x.h5.lock").exists()
        assert len(calls) == 2
    assert names(tmp_path) == []


def test_a_file_system_without_locks_is_the_users_care(tmp_path, monkeypatch):
    def refuse(handle, mode):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with lock(tmp_path / "x.h5"):
        pass
    assert names(tmp_path) == []


def test_a_process_that_was_taken_for_dead_cannot_spoil_its_shard(tmp_path, seven):
    """Two processes at the same shard, as when a cluster gives up a node that lives on."""
    a_plan = plan(tmp_path / "x.h5")
    shard, ticks = a_plan.shards[0], []

    def overtaken():
        ticks.append(len(list(tmp_path.glob("*.part"))))
        if len(ticks) == 2:
            generation.write_shard(a_plan, shard, lambda: None)

    generation.write_shard(a_plan, shard, overtaken)
    assert ticks == [1, 1, 1]
    assert names(tmp_path) == ["x.h5.shard-00000"]
    run_plan(a_plan, resume=True)
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


def test_a_plan_with_a_reference_needs_its_files(tmp_path):
    request = dataclasses.replace(Request.create(SETUP), reference="0" * 64)
    with pytest.raises(ValueError, match="measured reference"):
        make_plan(request, 1, tmp_path / "x.h5")
