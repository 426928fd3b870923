"""How generation scales: workers, a Dask cluster, shards, merging, memory.

    python benchmarks/scaling.py [workers|dask|shards|merge|memory …]

Figures are ratios of one run on one machine; nothing else should run beside `workers` and `dask`. The files
go to the system's folder for temporary ones: TMPDIR=/where/the/data/will/be changes that.
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from processes import run_python

from specksim import Setup
from specksim.dataset import open_dataset
from specksim.generation import merge_shards, run_plan
from specksim.measured import MeasuredReference
from specksim.plan import Plan, make_plan
from specksim.request import Request

FEW, MANY = 240, 960
SMALL = Setup().with_values(detector__rows=32, detector__columns=32, diffuser__sheets=1)


def plan(path: Path, n: int, setup: Setup, reference: Path | None = None) -> Plan:
    measured = MeasuredReference.create(reference) if reference else None
    setup, sha256 = measured.admit(setup) if measured else (setup, "")
    return make_plan(Request.create(setup, reference=sha256), n, path, reference=measured)


def command(folder: Path, n: int, *words: str) -> tuple[float, float]:
    """Wall and CPU seconds of a whole `specksim generate`, its workers included."""
    target = str(folder / "x.h5")
    used = run_python("specksim", "generate", "--n", str(n), "-o", target, "--overwrite", *words)
    return used.wall, used.cpu


def workers(folder: Path) -> None:
    """Marginal throughput of the default preset, between FEW and MANY pairs, runs interleaved."""
    command(folder, 2, "--workers", "1")  # compiles
    seconds = {(n, k): command(folder, n, "--workers", str(k)) for n in (FEW, MANY) for k in (1, 2)}
    wall, cpu = ({k: seconds[MANY, k][i] - seconds[FEW, k][i] for k in (1, 2)} for i in (0, 1))
    for k in (1, 2):
        rate, cost = (MANY - FEW) / wall[k], 1e3 * cpu[k] / (MANY - FEW)
        print(f"{k} worker(s): {rate:.1f} pairs/s, {cost:.0f} ms of CPU a pair")
    print(
        f"two workers over one: {wall[1] / wall[2]:.2f} by the clock; CPU time a pair {cpu[2] / cpu[1]:.2f}"
    )


SCHEDULER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def dask(folder: Path) -> None:
    """Two local workers against a Dask cluster of two, in small shards, runs interleaved."""
    shards = ["--set", "numerics.pairs_per_field=30"]
    script = folder / "scheduler.py"
    script.write_text(SCHEDULER)
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        address = cluster.stdout.readline().strip()
        times = {"--workers": [], "--scheduler": []}
        for n in (FEW, MANY):
            for option, value in (("--workers", "2"), ("--scheduler", address)):
                times[option].append(command(folder, n, option, value, *shards)[0])
        cluster.stdin.close()
    local, there = (few_many[1] - few_many[0] for few_many in times.values())
    print(f"Dask cluster of two workers over two local ones: {local / there:.2f}, shards of 30 pairs")


def shards(folder: Path) -> None:
    """What a shard costs beyond pairs and field: one a pair against one for all, of one field."""
    n, seconds = 400, {}
    np.save(folder / "reference.npy", np.random.default_rng(0).gamma(4, 500, (64, 64)).astype(np.float32))
    for size in (n, 1, n, 1):
        setup = SMALL.with_values(numerics__pairs_per_field=size)
        start = time.perf_counter()
        run_plan(plan(folder / "x.h5", n, setup, folder / "reference.npy"), overwrite=True)
        seconds[size] = time.perf_counter() - start
    print(
        f"a shard costs {1e3 * (seconds[1] - seconds[n]) / (n - 1):.1f} ms beyond its pairs, fsync included"
    )


def merge(folder: Path) -> None:
    """Time of merging as n grows, small frames; and the speed for frames of the default preset."""
    np.save(folder / "reference.npy", np.random.default_rng(0).gamma(4, 500, (300, 300)).astype(np.float32))
    for setup, sizes in ((SMALL, (625, 1250, 2500, 5000)), (Setup(), (75, 150))):
        for n in sizes:
            a_plan = plan(folder / f"{n}.h5", n, setup, folder / "reference.npy")
            run_plan(a_plan, share=(1, 1), workers=2)
            start = time.perf_counter()
            merge_shards(a_plan.target)
            seconds, size = time.perf_counter() - start, a_plan.target.stat().st_size / 1e6
            print(
                f"{n:>5} pairs of {setup.detector.rows}²: {seconds:.2f} s, "
                f"{1e3 * seconds / n:.2f} ms a pair, {size / seconds:.0f} MB/s"
            )
            with open_dataset(a_plan.target, verify=True) as dataset:
                assert len(dataset) == n
            a_plan.target.unlink()


def memory(folder: Path) -> None:
    """Peak memory of the largest process of the command as n grows."""
    sets = ["--set", "detector.rows=64", "--set", "detector.columns=64", "--set", "diffuser.sheets=1"]
    for n in (100, 2000):
        for count in ("1", "2"):
            words = ["--workers", count, "-o", str(folder / "x.h5"), "--overwrite", *sets]
            used = run_python("specksim", "generate", "--n", str(n), *words)
            print(f"{n:>5} pairs of 64², {count} worker(s): largest process {1e3 * used.peak_gb:.0f} MB")


SECTIONS = {"workers": workers, "dask": dask, "shards": shards, "merge": merge, "memory": memory}

if __name__ == "__main__":
    print(f"load when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name in sys.argv[1:] or SECTIONS:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            print(f"\n{name}")
            SECTIONS[name](Path(folder))
