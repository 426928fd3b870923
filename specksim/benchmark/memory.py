"""How much memory a method takes.

A process of its own loads the method, reads the first pair of the data, retrieves it once and tells the most
memory that the system ever counted as resident for it: Python, libraries, model and images are all in it, as
is what compiled code allocates, which `tracemalloc` does not see. The system's count is VmHWM of
/proc/self/status, not `ru_maxrss`: that one begins with the size of the process that started this one.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specksim.benchmark.methods import Entrant
from specksim.benchmark.pairs import Source, exposures_of, open_pairs


def peak_megabytes(source: Source, entrant: Entrant, exposures: int, options: Mapping[str, Any]) -> float:
    """Peak resident memory of a process that retrieves the first pair of a source, MB (10⁶ bytes).

    NaN if the process fails.
    """
    job = {
        "source": {**asdict(source), "path": str(source.path)},
        "label": entrant.label,
        "exposures": exposures,
        "options": dict(options),
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return float(done.stdout.split()[-1]) if done.returncode == 0 else float("nan")


def _main() -> None:
    job = json.load(sys.stdin)
    entrant = Entrant.parse(job["label"])
    source = Source(**{**job["source"], "path": Path(job["source"]["path"])})
    with open_pairs(source) as pairs, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = pairs[0]
        images = exposures_of(pair, job["exposures"])
        entrant.run(*images, pairs.setup, pair.scene["material"], job["options"])
    print(resident_megabytes("VmHWM"))


def resident_megabytes(which: str) -> float:
    """Resident memory of this process as the system counts it, now ("VmRSS") or at most ("VmHWM"), MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith(f"{which}:"))
    return int(kilobytes) * 1024 / 1e6


if __name__ == "__main__":
    _main()
