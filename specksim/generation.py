"""Generation of data sets: plan, shards, one file."""

import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft

from specksim import phantoms, seeds
from specksim.dataset import schema, writer
from specksim.dataset.reader import open_dataset
from specksim.forward import simulate_pair
from specksim.request import Request
from specksim.sandpaper import field_shape, simulate_field
from specksim.setups import Setup
from specksim.workers import Tick, run_tasks

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

    def shard_path(self, shard: Shard) -> Path:
        """Where a finished shard waits to be merged; the target itself if there is but one."""
        if len(self.shards) == 1:
            return self.target
        return self.target.with_name(f"{self.target.name}.shard-{shard.number:05d}")

    @property
    def data_bytes(self) -> int:
        """Size of the images without compression."""
        return self.n * schema.pair_bytes(self.request.setup, self.request.steps)

    def remnants(self) -> list[Path]:
        """Shards and unfinished files that an interrupted run left beside the target."""
        return sorted(
            path
            for path in self.target.parent.iterdir()
            if path.name.startswith((f"{self.target.name}.shard-", f"{self.target.name}.part"))
        )


def make_plan(request: Request, n: int, target: str | os.PathLike[str], compression: str = "none") -> Plan:
    """Cut a request into shards and check that its file can be written.

    Raises
    ------
    ValueError
        If n < 1, the compression is unknown, or there is not enough room on the disk.
    OSError
        If the folder does not exist or is not a folder, or the target is a folder.
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
    geometries: Sequence[str] = phantoms.TRAINING,
    seed: int = 0,
    split: str = "training",
    steps: int = 1,
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
    geometries : sequence of str
        Taken in turn.
    seed : int
        >= 0. Pair i depends on (seed, split, i) and the setup alone, not on n or the workers.
    split : {"training", "validation", "evaluation"}
        Splits never share a sandpaper.
    steps : int
        Positions of the sandpaper for each pair.
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
    request = Request.create(
        setup, material=material, geometries=tuple(geometries), split=split, seed=seed, steps=steps
    )
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
        raise ValueError("resume and overwrite exclude each other")
    if resume and plan.target.exists():
        _require_same(plan, plan.target, plan.n)
        return 0
    finished = _finished_shards(plan, resume, overwrite)
    _require_room(plan)
    todo = [shard for shard in plan.shards if shard not in finished]
    announce(todo)
    progress(sum(shard.stop - shard.first for shard in finished))
    run_tasks(write_shard, [(plan, shard) for shard in todo], workers, progress)
    if len(plan.shards) > 1:
        _merge_shards(plan)
    return sum(shard.stop - shard.first for shard in todo)


def _merge_shards(plan: Plan) -> None:
    paths = [plan.shard_path(shard) for shard in plan.shards]
    with writer.complete_file(plan.target, _part(plan.target)) as file:
        writer.merge(file, paths, plan.request, plan.n, plan.compression)
    for path in paths:
        path.unlink()


def write_shard(plan: Plan, shard: Shard, tick: Tick) -> None:
    """Simulate one shard and write it; `tick` is called after each pair."""
    request = plan.request
    setup = request.setup
    target = plan.shard_path(shard)
    with writer.complete_file(target, _part(target)) as file:
        writer.create_layout(file, request, shard.stop - shard.first, plan.compression)
        field = simulate_field(setup, seeds.field_rng(request.seed, request.split, shard.number))
        for row, index in enumerate(range(shard.first, shard.stop)):
            scene_rng, crop_rng, noise_rng = seeds.pair_rngs(request.seed, request.split, index)
            scene = phantoms.draw_scene(
                request.geometry_of(index), request.material_of(index), setup, scene_rng
            )
            pair = simulate_pair(setup, scene, field, crop_rng, noise_rng, index=index, steps=request.steps)
            writer.write_pair(file, row, pair)
            tick()
        writer.seal(file)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _finished_shards(plan: Plan, resume: bool, overwrite: bool) -> set[Shard]:
    """Deal with what stands in the way of a run; the shards that need not be done again."""
    if plan.target.exists() and not overwrite:
        raise FileExistsError(f"{plan.target} exists; --overwrite replaces it")
    remnants = plan.remnants()
    if remnants and not (resume or overwrite):
        raise FileExistsError(
            f"{remnants[0]} is left from an interrupted run: --resume goes on, --overwrite starts anew"
        )
    finished = set()
    if resume and len(plan.shards) > 1:
        for shard in plan.shards:
            if plan.shard_path(shard).exists():
                _require_same(plan, plan.shard_path(shard), None)
                with open_dataset(plan.shard_path(shard)) as dataset:
                    if len(dataset) == shard.stop - shard.first:
                        finished.add(shard)
    keep = {plan.shard_path(shard) for shard in finished}
    for path in remnants:
        if path not in keep:
            path.unlink()
    return finished


def _require_same(plan: Plan, path: Path, n: int | None) -> None:
    """Refuse to resume a file that answers another request."""
    with open_dataset(path) as dataset:
        difference = plan.request.difference(dataset.request)
        if not difference and n is not None and len(dataset) != n:
            difference = f"n: {len(dataset)} there, {n} asked for"
    if difference:
        raise ValueError(f"{path} cannot be resumed: {difference}; --overwrite starts anew")


def _require_room(plan: Plan) -> None:
    copies = 1 if len(plan.shards) == 1 else 2  # shards stay until they are merged
    needed = copies * plan.data_bytes + _SPARE_BYTES
    free = shutil.disk_usage(plan.target.parent).free
    if plan.compression == "none" and needed > free:
        raise OSError(
            f"not enough room in {plan.target.parent.resolve()}: "
            f"{needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free"
        )


def estimate_seconds(setup: Setup, shards: Sequence[Shard], workers: int) -> float:
    """About how long some shards will take on this machine, s, from the time of one small FFT.

    The costs, in FFT round trips a sample, are those of `benchmarks/generation.py`.
    """
    if not shards:
        return 0.0
    side = 512
    wave = np.ones((side, side), np.complex64)
    scipy.fft.ifft2(scipy.fft.fft2(wave))
    start = time.perf_counter()
    scipy.fft.ifft2(scipy.fft.fft2(wave))
    per_sample = (time.perf_counter() - start) / side**2
    field = math.prod(field_shape(setup)) * setup.waves_per_ray**2
    rays = math.prod(setup.ray_nodes(8).shape)
    pairs = max(shard.stop - shard.first for shard in shards)
    rounds = math.ceil(len(shards) / workers)
    return per_sample * rounds * (_FIELD_COST * field + _PAIR_COST * rays * pairs)


_FIELD_COST, _PAIR_COST = 6.0, 3.0
