"""Time and memory of a whole command, with all processes that it starts."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """Wall and CPU seconds, and the peak memory of the largest process, GB."""

    wall: float
    cpu: float
    peak_gb: float


def run_python(*words: str, **environment: str) -> Used:
    """Run `python -m …` in a process group of its own, whose members are watched.

    What the system counts for children begins with the memory of the process that starts them, and leaves out
    those that nobody waits for.
    """
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    cpu: dict[int, float] = {}
    peak_kb = 0
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        env={**kept, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:
        while running.poll() is None:
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    values = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(values[2]) != running.pid:
                        continue
                    status = (folder / "status").read_text()
                except OSError:  # it ended meanwhile
                    continue
                cpu[int(folder.name)] = (int(values[11]) + int(values[12])) / _TICKS
                if "VmHWM:" in status:
                    peak_kb = max(peak_kb, int(status.partition("VmHWM:")[2].split()[0]))
            time.sleep(_SECONDS)
    wall = time.perf_counter() - start
    if running.returncode:
        raise RuntimeError(f"{' '.join(words)} failed")
    return Used(wall, sum(cpu.values()), 1e-6 * peak_kb)
