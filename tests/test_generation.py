"""Generation: the same pairs whatever the run, nothing half-written, nothing taken silently."""

import os
import shutil
import signal
import subprocess
import sys
import time
from subprocess import PIPE
from types import SimpleNamespace

import numpy as np
import pytest

import specksim
from specksim import generation
from specksim.dataset import open_dataset
from specksim.dataset.checks import find_problems
from specksim.generation import run_plan
from specksim.plan import estimate_seconds, make_plan
from specksim.request import Request
from tests.runs import (
    FIELDS,
    SETUP,
    content_hash,
    interrupt_after,
    interrupted,
    names,
    plan,
    same_pair,
    workers_of,
)

# ---- the same pairs, whatever the run ---------------------------------------------------------------


def test_a_run_leaves_the_file_alone(seven):
    assert names(seven.parent) == ["seven.h5"]


def test_pairs_do_not_depend_on_their_number(seven, tmp_path):
    run_plan(plan(tmp_path / "few.h5", n=2))
    with open_dataset(tmp_path / "few.h5") as few, open_dataset(seven) as many:
        assert len(few) == 2
        assert all(same_pair(few[i], many[i]) for i in range(2))


def test_pairs_do_not_depend_on_the_workers(seven, tmp_path):
    before = dict(os.environ)
    run_plan(plan(tmp_path / "two.h5"), workers=2)
    assert dict(os.environ) == before
    assert names(tmp_path) == ["two.h5"]
    with open_dataset(tmp_path / "two.h5", verify=True) as two, open_dataset(seven) as one:
        assert all(same_pair(two[i], one[i]) for i in range(7))
    assert content_hash(tmp_path / "two.h5") == content_hash(seven)


@pytest.mark.parametrize("compression", ["bitshuffle", "gzip"])
def test_pairs_do_not_depend_on_the_compression(compression, seven, tmp_path):
    run_plan(plan(tmp_path / "small.h5", compression=compression))
    with open_dataset(tmp_path / "small.h5", verify=True) as small, open_dataset(seven) as plain:
        assert all(same_pair(small[i], plain[i]) for i in range(7))
    assert (tmp_path / "small.h5").stat().st_size < seven.stat().st_size


@pytest.mark.parametrize("index", [0, 2, 5, 6])
def test_a_pair_is_what_simulate_returns(index, seven):
    geometry = Request.create(SETUP).geometry_of(index)
    pair = specksim.simulate(SETUP, material="nylon", geometry=geometry, seed=0, index=index)
    with open_dataset(seven) as dataset:
        assert same_pair(pair, dataset[index])


def test_generate_is_the_plan_of_its_arguments(seven, tmp_path):
    path = specksim.generate(tmp_path / "lib.h5", SETUP, material="nylon", n=7)
    assert path == tmp_path / "lib.h5"
    assert content_hash(path) == content_hash(seven)


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "validation"}])
def test_another_seed_or_split_has_another_sandpaper(change, seven, tmp_path):
    run_plan(plan(tmp_path / "other.h5", n=1, **change))
    with open_dataset(tmp_path / "other.h5") as other, open_dataset(seven) as first:
        assert not np.array_equal(other[0].reference, first[0].reference)
        assert other[0].scene != first[0].scene


def test_steps_are_positions_of_one_sandpaper(tmp_path):
    specksim.generate(tmp_path / "steps.h5", SETUP, n=1, steps=3)
    with open_dataset(tmp_path / "steps.h5") as dataset:
        pair = dataset[0]
    assert pair.reference.shape == pair.sample.shape == (3, 32, 32)
    assert pair.step_offset_px.shape == (3, 2)
    assert not pair.step_offset_px[0].any()
    assert not np.array_equal(pair.reference[0], pair.reference[1])


def test_mixed_materials_and_geometries_stand_in_the_file(tmp_path):
    specksim.generate(tmp_path / "mixed.h5", SETUP, material="mixed", geometries=["sphere"], n=4)
    with open_dataset(tmp_path / "mixed.h5") as dataset:
        assert dataset.column("material").tolist() == ["nylon", "pmma", "al2o3", "nylon"]
        assert dataset.column("geometry").tolist() == ["sphere"] * 4
        assert dataset.column("index").tolist() == [0, 1, 2, 3]


def test_waves_change_the_samples_and_nothing_else(seven, tmp_path):
    path = specksim.generate(tmp_path / "waves.h5", SETUP, n=4, propagation="waves")
    with open_dataset(path, verify=True) as waves, open_dataset(seven) as rays_:
        assert waves.request.propagation == "waves"
        for one, two in zip(waves, rays_[:4], strict=True):
            assert not np.array_equal(one.sample, two.sample)
            assert all(
                np.array_equal(getattr(one, name), getattr(two, name)) for name in FIELDS if name != "sample"
            )
        geometry = waves.request.geometry_of(3)
        assert same_pair(waves[3], specksim.simulate(SETUP, geometry=geometry, index=3, propagation="waves"))
        assert not [problem for row in range(4) for problem in find_problems(waves, row)]


# ---- interrupted runs -------------------------------------------------------------------------------


def test_an_interruption_leaves_finished_shards_alone(tmp_path):
    interrupted(tmp_path / "x.h5")
    assert names(tmp_path) == ["x.h5.shard-00000"]
    with open_dataset(tmp_path / "x.h5.shard-00000", verify=True) as shard:
        assert [pair.index for pair in shard] == [0, 1, 2]


def test_an_interruption_in_the_only_shard_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan(tmp_path / "x.h5", n=3), progress=interrupt_after(2))
    assert names(tmp_path) == []


def test_an_interruption_of_workers_leaves_no_unfinished_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan(tmp_path / "x.h5", n=24), workers=2, progress=interrupt_after(4))
    left = names(tmp_path)
    assert all(name.startswith("x.h5.shard-") and not name.endswith(".part") for name in left)
    assert len(left) < 8


def test_resume_takes_over_finished_shards(tmp_path, seven, monkeypatch):
    interrupted(tmp_path / "x.h5")
    written = []
    monkeypatch.setattr(generation, "write_shard", _recording(generation.write_shard, written))
    progress: list[int] = []
    run_plan(plan(tmp_path / "x.h5"), resume=True, progress=progress.append)
    assert written == [1, 2]
    assert progress[0] == 3
    assert sum(progress) == 7
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)
    with open_dataset(tmp_path / "x.h5", verify=True) as resumed, open_dataset(seven) as straight:
        assert all(same_pair(resumed[i], straight[i]) for i in range(7))


def _recording(write_shard, written):
    def write(plan, shard, tick):
        written.append(shard.number)
        write_shard(plan, shard, tick)

    return write


def test_resume_without_remnants_begins_at_the_beginning(tmp_path, seven):
    run_plan(plan(tmp_path / "x.h5"), resume=True)
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


def test_remnants_are_not_taken_silently(tmp_path):
    interrupted(tmp_path / "x.h5")
    with pytest.raises(FileExistsError) as caught:
        run_plan(plan(tmp_path / "x.h5"))
    for word in ("x.h5.shard-00000", "--resume", "--overwrite"):
        assert word in str(caught.value)
    assert names(tmp_path) == ["x.h5.shard-00000"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 3}, "seed: 0 there, 3 asked for"),
        ({"material": "pmma"}, "materials"),
        ({"steps": 2}, "steps"),
    ],
)
def test_resume_of_another_request_says_what_differs(change, word, tmp_path):
    interrupted(tmp_path / "x.h5")
    with pytest.raises(ValueError, match="cannot be resumed") as caught:
        run_plan(plan(tmp_path / "x.h5", **change), resume=True)
    for part in ("x.h5.shard-00000", word, "--overwrite"):
        assert part in str(caught.value)
    assert names(tmp_path) == ["x.h5.shard-00000"]


def test_resume_of_another_setup_names_the_key(tmp_path):
    interrupted(tmp_path / "x.h5")
    request = Request.create(SETUP.with_values(detector__psf_sigma_px=0.8))
    with pytest.raises(ValueError, match=r"psf_sigma_px = 0.5 there, psf_sigma_px = 0.8 asked for"):
        run_plan(make_plan(request, 7, tmp_path / "x.h5"), resume=True)


def test_overwrite_clears_remnants_of_another_request(tmp_path, seven):
    interrupted(tmp_path / "x.h5", seed=3)
    run_plan(plan(tmp_path / "x.h5"), overwrite=True)
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


def test_resume_clears_the_unfinished_file_of_a_killed_run(tmp_path, seven):
    interrupted(tmp_path / "x.h5")
    (tmp_path / "x.h5.shard-00001.0123456789ab.part").write_bytes(b"half")
    (tmp_path / "x.h5.part").write_bytes(b"half")
    run_plan(plan(tmp_path / "x.h5"), resume=True)
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


# ---- existing files ---------------------------------------------------------------------------------


def test_an_existing_file_is_not_replaced(tmp_path):
    (tmp_path / "x.h5").write_text("precious")
    with pytest.raises(FileExistsError, match=r"x.h5 exists; --overwrite"):
        run_plan(plan(tmp_path / "x.h5"))
    assert (tmp_path / "x.h5").read_text() == "precious"
    assert names(tmp_path) == ["x.h5"]


def test_a_finished_file_needs_no_resuming(seven, tmp_path):
    shutil.copy(seven, tmp_path / "x.h5")
    before = (tmp_path / "x.h5").stat()
    run_plan(plan(tmp_path / "x.h5"), resume=True)
    after = (tmp_path / "x.h5").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_a_finished_file_of_more_pairs_is_not_resumed(seven, tmp_path):
    shutil.copy(seven, tmp_path / "x.h5")
    with pytest.raises(ValueError, match="n: 7 there, 6 asked for"):
        run_plan(plan(tmp_path / "x.h5", n=6), resume=True)
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


def test_a_finished_file_of_another_request_is_not_resumed(seven, tmp_path):
    shutil.copy(seven, tmp_path / "x.h5")
    with pytest.raises(ValueError, match="seed: 0 there, 9 asked for"):
        run_plan(plan(tmp_path / "x.h5", seed=9), resume=True)


def test_resume_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.h5").write_text("precious")
    with pytest.raises(ValueError, match=r"x.h5.*not an HDF5 file"):
        run_plan(plan(tmp_path / "x.h5"), resume=True)
    assert (tmp_path / "x.h5").read_text() == "precious"


@pytest.mark.parametrize("n", [2, 7])
def test_overwrite_keeps_the_old_file_until_the_new_is_complete(n, seven, tmp_path):
    shutil.copy(seven, tmp_path / "x.h5")
    old = content_hash(seven)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan(tmp_path / "x.h5", n=n, seed=1), overwrite=True, progress=interrupt_after(n - 1))
    assert content_hash(tmp_path / "x.h5") == old
    assert not list(tmp_path.glob("*.part"))
    run_plan(plan(tmp_path / "x.h5", n=n, seed=1), overwrite=True)
    assert content_hash(tmp_path / "x.h5") != old
    assert names(tmp_path) == ["x.h5"]


def test_resume_and_overwrite_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="--resume and --overwrite"):
        run_plan(plan(tmp_path / "x.h5"), resume=True, overwrite=True)


# ---- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -3])
def test_there_must_be_pairs(n, tmp_path):
    with pytest.raises(ValueError, match=f"n must be >= 1, got {n}"):
        plan(tmp_path / "x.h5", n=n)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=r"folder .*none does not exist"):
        plan(tmp_path / "none" / "x.h5")
    assert names(tmp_path) == []


def test_a_file_as_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        plan(tmp_path / "file" / "x.h5")


def test_a_directory_as_target_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a directory"):
        plan(tmp_path)


def test_an_unknown_compression_gets_the_list(tmp_path):
    with pytest.raises(ValueError, match="compression must be one of none, bitshuffle, gzip, got 'zip'"):
        plan(tmp_path / "x.h5", compression="zip")


@pytest.mark.parametrize("workers", [0, -1])
def test_there_must_be_workers(workers, tmp_path):
    with pytest.raises(ValueError, match=f"workers must be >= 1, got {workers}"):
        run_plan(plan(tmp_path / "x.h5"), workers=workers)


@pytest.mark.parametrize(
    "change", [{"material": "unobtainium"}, {"geometries": ["spere"]}, {"split": "test"}, {"seed": -1}]
)
def test_generate_writes_nothing_for_a_bad_request(change, tmp_path):
    with pytest.raises(ValueError, match=r"unobtainium|spere|split|seed"):
        specksim.generate(tmp_path / "x.h5", SETUP, n=1, **change)
    assert names(tmp_path) == []


def test_a_full_disk_is_noticed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(OSError, match=r"not enough room in .*MB needed, 1 MB free"):
        run_plan(plan(tmp_path / "x.h5"))
    assert names(tmp_path) == []


def test_a_failure_while_merging_keeps_the_shards(tmp_path, monkeypatch, seven):
    def fail(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(generation.writer, "merge", fail)
        with pytest.raises(OSError, match="no space left"):
            run_plan(plan(tmp_path / "x.h5"))
    assert names(tmp_path) == [f"x.h5.shard-0000{k}" for k in range(3)]
    run_plan(plan(tmp_path / "x.h5"), resume=True)
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


# ---- plans ------------------------------------------------------------------------------------------


def test_shards_are_runs_of_consecutive_pairs(tmp_path):
    shards = plan(tmp_path / "x.h5", n=7).shards
    assert [(s.number, s.first, s.stop) for s in shards] == [(0, 0, 3), (1, 3, 6), (2, 6, 7)]


def test_a_plan_knows_its_size(tmp_path):
    assert plan(tmp_path / "x.h5", n=7).pair_bytes == 32 * 32 * (2 * 2 + 4 * 4 + 1)


def test_the_estimate_grows_with_the_work(tmp_path):
    large = Request.create(SETUP.with_values(detector__rows=2048, detector__columns=2048))
    few, many = plan(tmp_path / "x.h5", n=1), make_plan(large, 300, tmp_path / "x.h5")
    short = estimate_seconds(few, few.shards, 1)
    assert 0 < short < estimate_seconds(many, many.shards, 1)
    waves = plan(tmp_path / "x.h5", n=7, propagation="waves")
    assert estimate_seconds(waves, waves.shards, 1) > 0
    assert estimate_seconds(many, (), 1) == 0


def test_resume_with_another_compression_is_refused(tmp_path):
    interrupted(tmp_path / "x.h5", compression="gzip")
    before = names(tmp_path)
    with pytest.raises(ValueError, match="compression: 'gzip' there, 'none' asked for"):
        run_plan(plan(tmp_path / "x.h5"), resume=True)
    assert names(tmp_path) == before


def test_resume_of_fewer_pairs_keeps_what_is_there(tmp_path):
    interrupted(tmp_path / "x.h5", pairs=6)
    before = names(tmp_path)
    with pytest.raises(ValueError, match="more than the 2 pairs asked for"):
        run_plan(plan(tmp_path / "x.h5", n=2), resume=True)
    assert names(tmp_path) == before


def test_remnants_of_another_file_are_left_alone(tmp_path):
    for name in ("x.h5.part2", "x.h5.shard-old", "x.h5.shard-00000.h5", "ax.h5.shard-00000"):
        (tmp_path / name).write_text("mine")
    run_plan(plan(tmp_path / "x.h5", n=1))
    assert [path.read_text() for path in tmp_path.iterdir() if path.name != "x.h5"] == ["mine"] * 4


def test_two_runs_do_not_write_one_file(tmp_path):
    def second_run(_):
        with pytest.raises(OSError, match="another run is writing"):
            run_plan(plan(tmp_path / "x.h5"), overwrite=True)

    run_plan(plan(tmp_path / "x.h5", n=2), announce=second_run)
    assert names(tmp_path) == ["x.h5"]


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[1]) << 10
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from specksim.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_in_mid_run_is_one_line_and_leaves_nothing(workers, tmp_path):
    small = ["detector.rows=32", "detector.columns=32", "diffuser.sheets=1", "numerics.pairs_per_field=40"]
    options = [option for value in small for option in ("--set", value)]
    command = ["generate", "--n", "80", "--workers", workers, "-o", str(tmp_path / "x.h5"), *options]
    run = [sys.executable, "-c", FULL_DISK, "300", *command]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ".part: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error") == 1
    assert names(tmp_path) == []


def test_a_disk_full_at_the_merge_costs_no_shard(tmp_path, seven):
    small = ["detector.rows=32", "detector.columns=32", "diffuser.sheets=1", "numerics.pairs_per_field=3"]
    options = [option for value in small for option in ("--set", value)]
    command = ["generate", "--n", "7", "--workers", "1", "-o", str(tmp_path / "x.h5"), *options]
    shard = 3 * plan(tmp_path / "x.h5").pair_bytes >> 10
    run = [sys.executable, "-c", FULL_DISK, str(shard + 70), *command]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"Error: {tmp_path / 'x.h5.part'}: File too large"
    assert names(tmp_path) == [f"x.h5.shard-0000{k}" for k in range(3)]
    assert run_plan(plan(tmp_path / "x.h5"), resume=True) == 0
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)


def test_a_killed_worker_is_replaced(tmp_path):
    options = ["--set", "detector.rows=32", "--set", "detector.columns=32", "--set", "diffuser.sheets=1"]
    shards = ["--set", "numerics.pairs_per_field=60"]
    command = ["generate", "--n", "180", "--workers", "2", "-o", str(tmp_path / "x.h5"), *options, *shards]
    run = subprocess.Popen([sys.executable, "-m", "specksim", *command], stdout=PIPE, stderr=PIPE, text=True)
    while run.poll() is None and not list(tmp_path.glob("*.part")):
        time.sleep(0.01)
    os.kill(workers_of(run.pid)[0], signal.SIGKILL)
    err = run.communicate()[1]
    assert run.returncode == 0, err
    assert "a worker process died" in err
    assert "Traceback" not in err
    assert names(tmp_path) == ["x.h5"]
    with open_dataset(tmp_path / "x.h5", verify=True) as dataset:
        assert [pair.index for pair in dataset] == list(range(180))


def test_shards_that_a_killed_run_merged_are_cleared(tmp_path, seven):
    interrupted(tmp_path / "x.h5")
    left = {path: path.read_bytes() for path in tmp_path.iterdir()}
    run_plan(plan(tmp_path / "x.h5"), resume=True)
    for path, data in left.items():
        path.write_bytes(data)
    assert run_plan(plan(tmp_path / "x.h5"), resume=True) == 0
    assert names(tmp_path) == ["x.h5"]
    assert content_hash(tmp_path / "x.h5") == content_hash(seven)
