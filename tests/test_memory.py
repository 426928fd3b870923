"""Freed memory that a process keeps."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from specksim.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        arrays = [np.ones((1000, 1000), np.float32) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_arrays_of_the_size_of_a_pair_are_not_mapped_anew():
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 2000  # 160 arrays of 1,000 pages each
