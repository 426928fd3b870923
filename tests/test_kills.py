"""Runs that are killed, over and over, at random moments: nothing is lost, and nothing half-done is seen."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from specksim.dataset import open_dataset
from specksim.generation import run_plan
from specksim.plan import make_plan
from specksim.request import Request
from tests.runs import SETUP, content_hash, names, same_pair, workers_of

KILLS = 20
PAIRS, SHARD = 480, 24
SETS = {"detector.rows": 32, "detector.columns": 32, "diffuser.sheets": 1, "numerics.pairs_per_field": SHARD}


class Watcher(threading.Thread):
    """Looks all the time whether a file under the target's name is complete."""

    def __init__(self, target: Path) -> None:
        super().__init__()
        self.target, self.looks, self.seen = target, 0, set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            self.looks += 1
            if self.target.exists():
                try:
                    with open_dataset(self.target) as dataset:
                        intact = dataset.provenance()["content_hash"] == dataset.expected_content_hash()
                        self.seen.add(f"{len(dataset)} pairs, {'intact' if intact else 'not intact'}")
                except ValueError as error:
                    self.seen.add(str(error))
            time.sleep(0.005)


def start(path: Path, n: int) -> subprocess.Popen:
    words = [word for key, value in SETS.items() for word in ("--set", f"{key}={value}")]
    command = ["generate", "--n", str(n), "--workers", "2", "-o", str(path), "--resume", *words]
    return subprocess.Popen(
        [sys.executable, "-m", "specksim", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at_random(run: subprocess.Popen, chance: random.Random, folder: Path) -> bool:
    """Kill the run or one of its workers at some moment after it began to write; False if it was over."""
    while run.poll() is None and not list(folder.glob("*.part")):
        time.sleep(0.005)
    time.sleep(chance.uniform(0.0, 1.5))
    if run.poll() is not None:
        return False
    victims = workers_of(run.pid) if chance.random() < 0.5 else [run.pid]
    try:
        os.kill(chance.choice(victims or [run.pid]), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def finish_with_kills(target: Path, n: int, kills: int, chance: random.Random) -> None:
    """Resume a run until it is done, and kill it meanwhile: it or a worker, twice at most before it ends."""
    while True:
        with start(target, n) as run:
            for _ in range(chance.choice((1, 2))):
                kills -= kills > 0 and kill_at_random(run, chance, target.parent)
            if kills:
                run.kill()
            out, err = run.communicate(timeout=300)
        assert "Traceback" not in err
        assert run.returncode in (0, -signal.SIGKILL), (out, err)
        if kills == 0 and run.returncode == 0:
            return
        time.sleep(0.3)  # its workers end with it


@pytest.mark.slow
def test_twenty_kills_do_not_change_a_bit(tmp_path):
    chance = random.Random(4)
    target = tmp_path / "run" / "x.h5"
    target.parent.mkdir()
    request = Request.create(SETUP.with_values(numerics__pairs_per_field=SHARD))
    run_plan(make_plan(request, 2 * PAIRS, tmp_path / "whole.h5"))

    watcher = Watcher(target)
    watcher.start()
    try:
        finish_with_kills(target, PAIRS, KILLS // 2, chance)
        finish_with_kills(target, 2 * PAIRS, KILLS // 2, chance)  # the finished file grows
    finally:
        watcher.over.set()
        watcher.join()

    assert watcher.looks > 100
    assert watcher.seen == {f"{PAIRS} pairs, intact", f"{2 * PAIRS} pairs, intact"}
    assert names(target.parent) == ["x.h5"]
    assert content_hash(target) == content_hash(tmp_path / "whole.h5")
    with (
        open_dataset(target, verify=True) as killed,
        open_dataset(tmp_path / "whole.h5", verify=True) as whole,
    ):
        assert len(killed) == len(whole) == 2 * PAIRS
        assert all(same_pair(one, other) for one, other in zip(killed, whole, strict=True))
