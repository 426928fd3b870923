"""Generation on a Dask cluster: the pairs of a local run, whatever happens to the workers."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from specksim import cluster
from specksim.dataset import open_dataset
from tests.runs import content_hash, names, same_pair

SETS = ["--set", "detector.rows=32", "--set", "detector.columns=32", "--set", "diffuser.sheets=1"]

SCHEDULER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, *(nanny.pid for nanny in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""

LIBRARY = """
import sys
import specksim
from distributed import Client
from tests.runs import SETUP

if __name__ == "__main__":
    with Client(sys.argv[1]) as client:
        specksim.generate(sys.argv[2], SETUP, n=7, client=client)
"""


@pytest.fixture
def local_cluster(tmp_path: Path) -> Iterator[tuple[str, list[int]]]:
    """Address of a scheduler with two workers, and the processes of these."""
    script = tmp_path / "scheduler.py"
    script.write_text(SCHEDULER)
    with subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        address, *workers = running.stdout.readline().split()
        yield address, [int(pid) for pid in workers]
        running.stdin.close()


def start(folder: Path, address: str, n: int, pairs_per_field: int) -> subprocess.Popen:
    words = ["generate", "--n", n, "-o", "x.h5", "--scheduler", address, *SETS]
    words += ["--set", f"numerics.pairs_per_field={pairs_per_field}"]
    return subprocess.Popen(
        [sys.executable, "-m", "specksim", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def wait_for_parts(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 180
    while len(list(folder.glob("*.part"))) < count and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
def test_a_cluster_makes_the_pairs_of_a_local_run(local_cluster, tmp_path, seven):
    folder = tmp_path / "out"
    folder.mkdir()
    with start(folder, local_cluster[0], n=7, pairs_per_field=3) as run:
        out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert re.match(r"x\.h5: 7 pairs in ", out)
    assert names(folder) == ["x.h5"]
    assert content_hash(folder / "x.h5") == content_hash(seven)
    script = tmp_path / "script.py"
    script.write_text(LIBRARY)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    words = [sys.executable, script, local_cluster[0], folder / "y.h5"]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    assert content_hash(folder / "y.h5") == content_hash(seven)


@pytest.mark.slow
def test_a_lost_worker_costs_nothing(local_cluster, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    address, workers = local_cluster
    with start(folder, address, n=240, pairs_per_field=30) as run:
        wait_for_parts(folder, 2)
        os.kill(workers[0], signal.SIGKILL)
        out, err = run.communicate(timeout=180)
    assert run.returncode == 0, err
    assert "Traceback" not in err
    assert out.startswith("x.h5: 240 pairs in ")
    assert names(folder) == ["x.h5"]
    local = [sys.executable, "-m", "specksim", "generate", "--n", "240", "-o", str(tmp_path / "y.h5"), *SETS]
    subprocess.run([*local, "--set", "numerics.pairs_per_field=30"], check=True, capture_output=True)
    assert content_hash(folder / "x.h5") == content_hash(tmp_path / "y.h5")
    with open_dataset(folder / "x.h5", verify=True) as one, open_dataset(tmp_path / "y.h5") as other:
        assert all(same_pair(*pairs) for pairs in zip(one, other, strict=True))


@pytest.mark.slow
def test_an_interruption_leaves_no_unfinished_file(local_cluster, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with start(folder, local_cluster[0], n=40_000, pairs_per_field=10_000) as run:
        wait_for_parts(folder, 2)
        run.send_signal(signal.SIGINT)
        err = run.communicate(timeout=120)[1]
    assert (run.returncode, err.strip()) == (1, "Error: interrupted")
    assert names(folder) == []


@pytest.mark.slow
def test_no_scheduler_is_one_line(tmp_path):
    script = "from specksim import cluster, cli; cluster._CONNECT_SECONDS = 1; cli.main()"
    words = ["generate", "--n", "1", "-o", "x.h5", "--scheduler", "tcp://127.0.0.1:9", *SETS]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: --scheduler tcp://127.0.0.1:9: no scheduler answers: ")
    assert done.stderr.count("\n") == 1
    assert names(tmp_path) == []


def test_without_dask_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match=r"pip install 'specksim\[dask\]'"), cluster.connect("tcp://x:1"):
        pass
