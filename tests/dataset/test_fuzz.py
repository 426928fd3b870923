"""Damaged files give the data that were written or the project's own error, never anything else."""

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from specksim import generate
from specksim.setups import Setup

READ = """
import json, sys
import numpy as np
from specksim.dataset import open_dataset
from specksim.dataset.checks import find_problems, find_problems_of_all

FIELDS = ("reference", "sample", "dx", "dy", "phase", "transmission", "valid", "step_offset_px")

def same(one, other):
    return (one.scene, one.index) == (other.scene, other.index) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in FIELDS
    )

def read(path):
    '''As `open_dataset(verify=True)`: the data, or a refusal.'''
    try:
        with open_dataset(path, verify=True) as dataset:
            pairs, request = list(dataset), dataset.request
            dataset.provenance()
    except ValueError as error:
        return "refused" if path in str(error) else f"refused without its name: {error}"
    right = request == true_request and len(pairs) == len(truth) and all(map(same, pairs, truth))
    return "right" if right else "WRONG"

def check(path):
    '''As `specksim check`: no problem, some, or a refusal.'''
    try:
        with open_dataset(path) as dataset:
            problems = [line for row in range(len(dataset)) for line in find_problems(dataset, row)]
            return "problems" if problems + list(find_problems_of_all(dataset)) else "none"
    except ValueError as error:
        return "refused" if path in str(error) else f"refused without its name: {error}"

with open_dataset(sys.argv[1], verify=True) as intact:
    truth, true_request = list(intact), intact.request
for path in sys.stdin:
    path = path.strip()
    print(json.dumps([path, "begun"]), flush=True)
    try:
        print(json.dumps([path, read(path), check(path)]), flush=True)
    except Exception as error:
        print(json.dumps([path, "TRACEBACK", repr(error)]), flush=True)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Two small pairs, with two positions of the sandpaper."""
    setup = Setup().with_values(detector__rows=32, detector__columns=24, diffuser__sheets=1)
    path = tmp_path_factory.mktemp("whole") / "whole.h5"
    return generate(path, setup, geometries=["sphere"], n=2, steps=2)


def outcomes(whole: Path, paths: list[Path]) -> dict[Path, tuple[str, str]]:
    """What reading and checking each file gives; a file at which the process dies is `crashed`."""
    found: dict[Path, tuple[str, str]] = {}
    while left := [path for path in paths if path not in found]:
        run = subprocess.run(
            [sys.executable, "-c", READ, whole],
            input="\n".join(map(str, left)) + "\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.stdout, run.stderr[-2000:]
        for line in map(json.loads, run.stdout.splitlines()):
            found[Path(line[0])] = ("crashed", "crashed") if line[1] == "begun" else (line[1], line[2])
        assert run.returncode <= 0, run.stderr[-2000:]  # a signal, or the end
    return found


def require_sound(found: dict[Path, tuple[str, str]]) -> None:
    """Each file was read right or refused; what was refused or wrong is found by a check."""
    allowed = {
        ("right", "none"),
        ("right", "problems"),  # of what reading a pair does not need
        ("refused", "problems"),
        ("refused", "refused"),
        ("crashed", "crashed"),  # of which `specksim check` says that the file is damaged
    }
    assert {path.name: outcome for path, outcome in found.items() if outcome not in allowed} == {}


def flip(chance: random.Random, data: bytearray, first: int, stop: int) -> None:
    for _ in range(chance.choice((1, 2, 4, 32))):
        data[chance.randrange(first, stop)] ^= 1 << chance.randrange(8)


def mutate_bytes(whole: Path, folder: Path, seed: int, number: int) -> list[Path]:
    """Flip bits anywhere, flip them where the metadata stand, cut the file, or overwrite a stretch of it."""
    chance, paths = random.Random(seed), []
    data = whole.read_bytes()
    images = [
        (chunk.byte_offset, chunk.byte_offset + chunk.size)
        for name, stored in _data_sets(whole, "entry/data")
        for chunk in map(stored.id.get_chunk_info, range(stored.id.get_num_chunks()))
    ]
    metadata = [at for at in range(len(data)) if not any(first <= at < stop for first, stop in images)]
    for k in range(number):
        damaged = bytearray(data)
        kind = k % 8
        if kind == 0:
            flip(chance, damaged, 0, len(data))
        elif kind == 1:
            del damaged[chance.randrange(len(data)) :]
        elif kind == 2:
            first = chance.choice(metadata)
            damaged[first : first + 16] = bytes(chance.randrange(256) for _ in damaged[first : first + 16])
        else:
            for _ in range(chance.choice((1, 2, 8))):
                damaged[chance.choice(metadata)] ^= 1 << chance.randrange(8)
        paths.append(folder / f"bytes-{seed}-{k}.h5")
        paths[-1].write_bytes(damaged)
    return paths


def _data_sets(path: Path, group: str) -> list[tuple[str, h5py.Dataset]]:
    file = h5py.File(path, "r")
    found: list[tuple[str, h5py.Dataset]] = []
    file[group].visititems(
        lambda name, node: found.append((f"{group}/{name}", node)) if isinstance(node, h5py.Dataset) else None
    )
    return found


def _other_type(stored: h5py.Dataset) -> np.ndarray:
    return np.zeros(stored.shape, "int16" if stored.dtype.kind == "f" else "float64")


REPLACEMENTS: dict[str, Callable[[h5py.Dataset], object]] = {
    "missing": lambda stored: None,
    "of another type": _other_type,
    "of text": lambda stored: np.full(stored.shape, b"\xff\xfe", "S8"),
    "of fewer rows": lambda stored: stored[:-1] if stored.ndim else np.zeros(3),
    "of one dimension more": lambda stored: np.zeros((*stored.shape, 2), "float32"),
    "empty": lambda stored: h5py.Empty("float32"),
}


def mutate_structure(whole: Path, folder: Path) -> list[Path]:
    """Replace each data set of a file in turn by what has no business there, and its version too."""
    paths = []
    for name, stored in _data_sets(whole, "entry"):
        for kind, replacement in REPLACEMENTS.items():
            paths.append(Path(shutil.copy(whole, folder / f"{name.replace('/', '-')} {kind}.h5")))
            value = replacement(stored)
            with h5py.File(paths[-1], "r+") as file:
                del file[name]
                if value is not None:
                    file[name] = value
    for version in ("1", 2, [1, 1], b"\xff", 1.5):
        paths.append(Path(shutil.copy(whole, folder / f"version {version!r}.h5")))
        with h5py.File(paths[-1], "r+") as file:
            file.attrs["schema_version"] = version
    return paths


def test_some_mutated_files(whole, tmp_path):
    found = outcomes(whole, mutate_bytes(whole, tmp_path, seed=0, number=40))
    require_sound(found)
    assert Counter(reading for reading, _ in found.values())["refused"] >= 10


@pytest.mark.slow
def test_many_mutated_files(whole, tmp_path):
    paths = [*mutate_bytes(whole, tmp_path, seed=1, number=480), *mutate_structure(whole, tmp_path)]
    assert len(paths) >= 600
    found = outcomes(whole, paths)
    require_sound(found)
    tally = Counter(reading for reading, _ in found.values())
    assert tally["refused"] >= 200
    assert tally["right"] >= 20
