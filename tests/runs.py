"""Small runs, ended early or not, and what they leave."""

from pathlib import Path

import numpy as np
import pytest

import specksim
from specksim.dataset import open_dataset
from specksim.generation import run_plan
from specksim.plan import Plan, make_plan
from specksim.request import Request
from specksim.setups import Setup

FIELDS = ("reference", "sample", "dx", "dy", "phase", "transmission", "valid")
SETUP = Setup().with_values(
    detector__rows=32, detector__columns=32, diffuser__sheets=1, numerics__pairs_per_field=3
)


def plan(path: Path, n: int = 7, compression: str = "none", **changes: object) -> Plan:
    return make_plan(Request.create(SETUP, **changes), n, path, compression)


def interrupt_after(pairs: int):
    """A progress callback that raises KeyboardInterrupt when `pairs` pairs are done."""
    done = 0

    def progress(k: int) -> None:
        nonlocal done
        done += k
        if done >= pairs:
            raise KeyboardInterrupt

    return progress


def interrupted(path: Path, pairs: int = 4, **changes: object) -> None:
    """Leave what a run of seven pairs leaves that is interrupted after `pairs` pairs."""
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan(path, **changes), progress=interrupt_after(pairs))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content_hash(path: Path) -> str:
    with open_dataset(path) as dataset:
        return dataset.provenance()["content_hash"]


def same_pair(one: specksim.SpecklePair, other: specksim.SpecklePair) -> bool:
    return (
        one.scene == other.scene
        and one.index == other.index
        and np.array_equal(one.step_offset_px, other.step_offset_px)
        and all(
            getattr(one, name).dtype == getattr(other, name).dtype
            and np.array_equal(getattr(one, name), getattr(other, name))
            for name in FIELDS
        )
    )


def workers_of(process: int) -> list[int]:
    """The workers of a run that are alive."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it ended meanwhile
        return []
    return [int(child) for child in children if "spawn_main" in command_of(child)]


def command_of(process: str) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""
