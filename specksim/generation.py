"""Generation of data sets: plan, shards, one file."""

import contextlib
import errno
import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from specksim import phantoms, seeds
from specksim.dataset import schema, writer
from specksim.dataset.reader import open_dataset
from specksim.diffraction import pair_bytes, wave_grid
from specksim.forward import draw_pair
from specksim.request import Request
from specksim.sandpaper import field_bytes, field_shape, require_sampling, simulate_field
from specksim.setups import Setup
from specksim.workers import Tick, run_tasks

_FIELD_COST, _PAIR_COST, _WAVES_COST = 6.0, 3.0, 3.0
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
    shards : tuple of Shard
    compression : {"none", "bitshuffle", "gzip"}
    """

    request: Request
    n: int
    target: Path
    shards: tuple[Shard, ...]
    compression: str

    def shard_path(self, number: int) -> Path:
        """Where a finished shard waits for the others."""
        return self.target.with_name(f"{self.target.name}.shard-{number:05d}")

    @property
    def data_bytes(self) -> int:
        """Size of the images without compression."""
        return self.n * schema.pair_bytes(self.request.setup, self.request.steps)

    def finished(self) -> dict[int, Path]:
        """Shards that an earlier run finished, by their number."""
        return {
            int(path.name[-5:]): path
            for path in self.target.parent.iterdir()
            if path.name[:-5] == f"{self.target.name}.shard-" and path.name[-5:].isdigit()
        }

    def unfinished(self) -> list[Path]:
        """Files that a killed run was writing."""
        parts = [self.shard_path(shard.number) for shard in self.shards] + [self.target]
        return [part for part in map(writer.part_path, parts) if part.exists()]


def make_plan(request: Request, n: int, target: str | os.PathLike[str], compression: str = "none") -> Plan:
    """Cut a request into shards and check that its file can be written.

    Raises
    ------
    ValueError
        If n < 1 or the compression is unknown.
    OSError
        If the folder does not exist, the target is a folder, or the disk has not enough room.
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
    _require_room(target.parent, n * schema.pair_bytes(request.setup, request.steps))
    size = request.setup.numerics.pairs_per_field
    shards = tuple(
        Shard(number, first, min(first + size, n)) for number, first in enumerate(range(0, n, size))
    )
    return Plan(request, n, target, shards, compression)


def generate(
    path: str | os.PathLike[str],
    setup: Setup,
    *,
    material: str = "nylon",
    n: int = 150,
    geometries: str | Sequence[str] = phantoms.TRAINING,
    seed: int = 0,
    split: str = "training",
    steps: int = 1,
    propagation: str = "rays",
    compression: str = "none",
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Simulate a data set of labelled pairs and write it to a file.

    Parameters
    ----------
    path : path-like
        The HDF5 file. It appears when it is complete.
    setup : Setup
    material : str
        See `specksim.refractive_index`, or `mixed`: nylon, PMMA and Al2O3 in turn.
    n : int
        Number of pairs.
    geometries : sequence of str, or str
        Taken in turn.
    seed : int
        >= 0. Pair i depends on (seed, split, i) and the setup alone, not on n or the workers.
    split : {"training", "validation", "evaluation"}
        Splits never share a sandpaper.
    steps : int
        Positions of the sandpaper for each pair.
    propagation : {"rays", "waves"}
        How the sample images are made, see `specksim.simulate`.
    compression : {"none", "bitshuffle", "gzip"}
    workers : int
        Processes. More than one needs the caller's module to be importable (`if __name__ == "__main__"`).
    resume : bool
        Take over the finished shards that an interrupted run left.
    overwrite : bool
        Replace an existing file, once the new one is complete, and remove an interrupted run's remnants.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If an argument is out of range, or remnants of another request are to be resumed.
    FileExistsError
        If the file, or remnants of an interrupted run, exist and neither option says what to do.
    OSError
        If the file cannot be written.
    """
    names = (geometries,) if isinstance(geometries, str) else tuple(geometries)
    options: dict[str, Any] = {"split": split, "seed": seed, "steps": steps, "propagation": propagation}
    request = Request.create(setup, material=material, geometries=names, **options)
    plan = make_plan(request, n, path, compression)
    run_plan(plan, workers=workers, resume=resume, overwrite=overwrite)
    return plan.target


def run_plan(
    plan: Plan,
    *,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    announce: Callable[[Sequence[Shard]], None] = lambda shards: None,
    progress: Callable[[int], None] = lambda pairs: None,
) -> int:
    """Carry out a plan; see `generate`.

    Parameters
    ----------
    plan : Plan
    workers, resume, overwrite
        As in `generate`.
    announce : callable
        Given the shards that will be simulated, when it is sure that the run can begin.
    progress : callable
        Given the number of pairs since its last call.

    Returns
    -------
    int
        Number of pairs simulated: 0 where `resume` found a complete file.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other")
    with _lock(plan.target):
        if resume and plan.target.exists():
            _require_same(plan, plan.target)
            _remove_merged_shards(plan)
            return 0
        if plan.target.exists() and not overwrite:
            raise FileExistsError(f"{plan.target} exists; --overwrite replaces it")
        require_sampling(plan.request.setup)
        finished = _finished_shards(plan, resume, overwrite)
        todo = [shard for shard in plan.shards if shard not in finished]
        pairs = sum(shard.stop - shard.first for shard in todo) + (plan.n if len(plan.shards) > 1 else 0)
        _require_room(plan.target.parent, pairs * schema.pair_bytes(plan.request.setup, plan.request.steps))
        _require_memory(plan.request, min(workers, len(todo)))
        announce(todo)
        progress(sum(shard.stop - shard.first for shard in finished))
        run_tasks(write_shard, [(plan, shard) for shard in todo], workers, progress)
        _merge_shards(plan)
    return sum(shard.stop - shard.first for shard in todo)


def _remove_merged_shards(plan: Plan) -> None:
    """Remove what a run left that was killed between the last rename and its own cleaning up."""
    for path in plan.finished().values():
        with open_dataset(path) as dataset:
            merged = not plan.request.difference(dataset.request)
        if merged:
            path.unlink()


def _merge_shards(plan: Plan) -> None:
    paths = [plan.shard_path(shard.number) for shard in plan.shards]
    if len(paths) == 1:
        paths[0].replace(plan.target)
        return
    with writer.complete_file(plan.target) as file:
        writer.merge(file.hdf5, paths, plan.request, plan.n, plan.compression)
    for path in paths:
        path.unlink()


def write_shard(plan: Plan, shard: Shard, tick: Tick) -> None:
    """Simulate one shard and write it; `tick` is called after each pair."""
    request = plan.request
    setup = request.setup
    with writer.complete_file(plan.shard_path(shard.number)) as file:
        writer.create_layout(file.hdf5, request, shard.stop - shard.first, plan.compression)
        rng = seeds.field_rng(request.seed, request.split, shard.number)
        field = simulate_field(setup, rng, waves=request.propagation == "waves")
        parameters = []
        for row, index in enumerate(range(shard.first, shard.stop)):
            pair = draw_pair(
                setup,
                field,
                material=request.material_of(index),
                geometry=request.geometry_of(index),
                seed=request.seed,
                split=request.split,
                index=index,
                steps=request.steps,
                propagation=request.propagation,
            )
            parameters.append(writer.write_images(file.hdf5, row, pair))
            file.raise_failure()
            tick()
        writer.write_parameters(file.hdf5, parameters)
        writer.seal(file.hdf5)


@contextlib.contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Keep a second run away from a target; the system lifts the lock when a process dies.

    Raises
    ------
    OSError
        If another run holds it, or the folder may not be written.
    """
    path = target.with_name(f"{target.name}.lock")
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = path.exists() and path.stat().st_ino == os.fstat(handle.fileno()).st_ino
        except BlockingIOError:
            held = False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
            held = True  # a file system without locks: it is the user who keeps runs apart
        if not held:
            raise BlockingIOError(f"another run is writing {target}")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _finished_shards(plan: Plan, resume: bool, overwrite: bool) -> set[Shard]:
    """Deal with what stands in the way of a run; the shards that need not be done again."""
    found, unfinished = plan.finished(), plan.unfinished()
    remnants = [*found.values(), *unfinished]
    if remnants and not (resume or overwrite):
        raise FileExistsError(
            f"{remnants[0]} is left from an interrupted run: --resume goes on, --overwrite starts anew"
        )
    finished = set()
    for number, path in found.items() if resume else ():
        wanted = plan.shards[number] if number < len(plan.shards) else Shard(number, 0, 0)
        if _require_same(plan, path, at_most=wanted.stop - wanted.first) == wanted.stop - wanted.first:
            finished.add(wanted)
    keep = {plan.shard_path(shard.number) for shard in finished}
    for path in remnants:
        if path not in keep:
            path.unlink()
    return finished


def _require_same(plan: Plan, path: Path, at_most: int | None = None) -> int:
    """Number of pairs in a file to be resumed; refuse one that answers another request.

    A finished shard must not hold more than `at_most` pairs, a finished file no more or fewer than asked for.
    """
    with open_dataset(path) as dataset:
        difference = plan.request.difference(dataset.request)
        compression = dataset.provenance()["compression"]
        pairs = len(dataset)
    if not difference and compression != plan.compression:
        difference = f"compression: {compression!r} there, {plan.compression!r} asked for"
    if not difference and at_most is None and pairs != plan.n:
        difference = f"n: {pairs} there, {plan.n} asked for"
    if not difference and at_most is not None and pairs > at_most:
        difference = f"n: the interrupted run was to make more than the {plan.n} pairs asked for"
    if difference:
        raise ValueError(f"{path} cannot be resumed: {difference}; --overwrite starts anew")
    return pairs


def _require_room(folder: Path, data_bytes: int) -> None:
    """Refuse what the disk cannot hold: images without compression, and their parameters."""
    needed, free = data_bytes + _SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"not enough room in {folder.resolve()}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free"
        )


def _require_memory(request: Request, processes: int) -> None:
    """Refuse what the machine cannot hold, before the system kills us for it."""
    waves = pair_bytes(request.setup) if request.propagation == "waves" else 0
    needed = processes * (_PROCESS_BYTES + field_bytes(request.setup) + waves)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise MemoryError(
            f"the sandpaper takes {needed / 1e9:.1f} GB of memory ({processes} at a time), this machine has "
            f"{there / 1e9:.1f} GB: use fewer workers, a smaller frame, larger grains, or a larger "
            "numerics.wave_pitch_um"
        )


def estimate_seconds(request: Request, shards: Sequence[Shard], workers: int) -> float:
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
    setup = request.setup
    field = math.prod(field_shape(setup)) * setup.waves_per_ray**2
    pair = _PAIR_COST * math.prod(setup.ray_nodes(8).shape)
    if request.propagation == "waves":
        pair += _WAVES_COST * math.prod(wave_grid(setup).shape)
    pairs = max(shard.stop - shard.first for shard in shards)
    rounds = math.ceil(len(shards) / workers)
    samples = len(setup.lines) * (_FIELD_COST * field + pair * request.steps * pairs)
    work = per_sample * samples + _PAIR_SECONDS * pairs
    return rounds * work + _START_SECONDS
