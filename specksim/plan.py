"""What a run will do: its pairs cut into shards, and what they need of time, disk and memory."""

import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from specksim.dataset import schema, writer
from specksim.diffraction import wave_bytes, wave_grid
from specksim.request import Request
from specksim.sandpaper import field_bytes, field_shape

if TYPE_CHECKING:
    from specksim.measured import MeasuredReference

_FIELD_COST, _PAIR_COST, _WAVES_COST = 3.5, 1.2, 2.0
"""Time of a wave sample of a field, of a ray of a pair and of a wave sample of one, in FFT round trips a
sample."""
_START_SECONDS, _PAIR_SECONDS = 1.5, 0.005
"""Start of a process, and what a pair takes whatever its size."""

_PROCESS_BYTES = 300 << 20
_SPARE_BYTES = 16 << 20
"""Room for the parameters of a file and what the file system keeps beside the data."""


@dataclass(frozen=True)
class Shard:
    """Pairs first … stop − 1, which share one sandpaper field."""

    number: int
    first: int
    stop: int

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.stop - self.first


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    request : Request
    n : int
        Pairs.
    target : Path
        The file.
    compression : {"none", "bitshuffle", "gzip"}
    reference : MeasuredReference or None
        The measured reference whose hash stands in the request.
    """

    request: Request
    n: int
    target: Path
    compression: str
    reference: "MeasuredReference | None" = None

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All shards."""
        size = self.request.setup.numerics.pairs_per_field
        firsts = enumerate(range(0, self.n, size))
        return tuple(Shard(number, first, min(first + size, self.n)) for number, first in firsts)

    def shard_path(self, number: int) -> Path:
        """Where a finished shard waits for the others."""
        return self.target.with_name(f"{self.target.name}.shard-{number:05d}")

    def new_part_path(self, number: int) -> Path:
        """A name that no other process writes a shard under, were it to write the same one."""
        shard = self.shard_path(number)
        return writer.part_path(shard.with_name(f"{shard.name}.{uuid.uuid4().hex[:12]}"))

    @property
    def pair_bytes(self) -> int:
        """Size of a pair's images without compression."""
        return schema.pair_bytes(self.request.setup, self.request.steps)

    def finished(self) -> dict[int, Path]:
        """Shards that are finished, by their number, in order."""
        return finished_shards(self.target)

    def unfinished(self) -> list[Path]:
        """Files that a killed run was writing."""
        pattern = re.compile(re.escape(self.target.name) + r"(\.shard-\d{5,}\.[0-9a-f]{12})?\.part")
        return [path for path in self.target.parent.iterdir() if pattern.fullmatch(path.name)]


def finished_shards(target: Path) -> dict[int, Path]:
    """Finished shards beside a target, by their number, in order."""
    pattern = re.compile(re.escape(target.name) + r"\.shard-(\d{5,})")
    found = [(pattern.fullmatch(path.name), path) for path in target.parent.iterdir()]
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def make_plan(
    request: Request,
    n: int,
    target: str | os.PathLike[str],
    compression: str = "none",
    reference: "MeasuredReference | None" = None,
) -> Plan:
    """Plan a file of `n` pairs.

    Raises
    ------
    ValueError
        If n < 1, the compression is unknown, or the request needs a reference that is not given.
    OSError
        If the folder does not exist, or the target is a folder.
    """
    target = Path(target)
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    if compression not in schema.COMPRESSIONS:
        raise ValueError(f"compression must be one of {', '.join(schema.COMPRESSIONS)}, got {compression!r}")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a directory, not a file")
    if not target.parent.is_dir():
        raise NotADirectoryError(f"the folder {target.parent} does not exist")
    if bool(request.reference) != (reference is not None):
        raise ValueError("a request with a measured reference goes with the files of it, and no other does")
    return Plan(request, n, target, compression, reference)


def require_room(plan: Plan, pairs: int) -> None:
    """Refuse what the disk cannot hold: images of some pairs without compression, and their parameters."""
    folder = plan.target.parent
    needed, free = pairs * plan.pair_bytes + _SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"not enough room in {folder.resolve()}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free"
        )


def require_memory(plan: Plan, processes: int) -> None:
    """Refuse what the machine cannot hold, before the system kills us for it."""
    setup = plan.request.setup
    if plan.reference is None:
        field = field_bytes(setup)
    else:
        field = plan.reference.field_bytes(setup.numerics.oversampling)
    waves = wave_bytes(setup) if plan.request.propagation == "waves" else 0
    needed = processes * (_PROCESS_BYTES + field + waves)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise MemoryError(
            f"the speckle takes {needed / 1e9:.1f} GB of memory ({processes} at a time), this machine has "
            f"{there / 1e9:.1f} GB: use fewer workers, a smaller frame, larger grains, or a larger "
            "numerics.wave_pitch_um"
        )


def estimate_seconds(plan: Plan, shards: Sequence[Shard], workers: int) -> float:
    """About how long some shards will take on this machine, s, from the time of a small FFT.

    The costs, in FFT round trips a sample, are those of `benchmarks/generation.py`.
    """
    if not shards:
        return 0.0
    side = 512
    wave = np.ones((side, side), np.complex64)
    scipy.fft.ifft2(scipy.fft.fft2(wave))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        scipy.fft.ifft2(scipy.fft.fft2(wave))
        seconds.append(time.perf_counter() - start)
    per_sample = min(seconds) / side**2
    setup = plan.request.setup
    field = 0 if plan.reference else math.prod(field_shape(setup)) * setup.waves_per_ray**2
    pair = _PAIR_COST * math.prod(setup.ray_nodes(8).shape)
    if plan.request.propagation == "waves":
        pair += _WAVES_COST * math.prod(wave_grid(setup).shape)
    pairs = max(shard.pairs for shard in shards)
    rounds = math.ceil(len(shards) / workers)
    samples = len(setup.lines) * (_FIELD_COST * field + pair * plan.request.steps * pairs)
    work = per_sample * samples + _PAIR_SECONDS * pairs
    return rounds * work + _START_SECONDS
