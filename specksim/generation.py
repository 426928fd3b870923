"""Generation of data sets: plan, shards, one file."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specksim import phantoms, seeds
from specksim.cluster import run_tasks_on
from specksim.dataset import writer
from specksim.dataset.reader import open_dataset
from specksim.dataset.writer import Rows
from specksim.forward import draw_pair
from specksim.locks import lock
from specksim.memory import keep_freed_memory
from specksim.plan import Plan, Shard, finished_shards, make_plan, require_memory, require_room
from specksim.request import Request
from specksim.sandpaper import SpeckleField, require_sampling, simulate_field
from specksim.setups import Setup
from specksim.workers import EarlyWorkers, Tick, run_tasks

if TYPE_CHECKING:
    from distributed import Client

    from specksim.measured import MeasuredReference

_MUST_AGREE = ("specksim", "numpy", "scipy", "numba", "xraylib")
"""Packages of which another version may give other pairs."""
_LATE_SECONDS = 60

Track = Callable[[Sequence[Rows]], Iterable[Rows]]


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
    drift: float = 0.0,
    reference: str | os.PathLike[str] | None = None,
    dark: str | os.PathLike[str] | None = None,
    flat: str | os.PathLike[str] | None = None,
    compression: str = "none",
    workers: int = 1,
    client: "Client | None" = None,
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
        Pair i depends on (seed, split, i) and the setup alone, not on n or the workers.
    split : {"training", "validation", "evaluation"}
        Splits never share a sandpaper, but a measured reference is the same in all.
    steps : int
        Positions of the sandpaper for each pair.
    propagation : {"rays", "waves"}
        See `specksim.simulate`.
    drift : float
        Share of the pairs in which beam or detector move too, see `specksim.drift`.
    reference, dark, flat : path-like, optional
        A measured reference as the speckle, and images to correct it by. See `MeasuredReference`.
    compression : {"none", "bitshuffle", "gzip"}
    workers : int
        Processes. More than one needs the caller's module to be importable (`if __name__ == "__main__"`).
    client : distributed.Client, optional
        Of a Dask cluster in place of local processes. It must reach the folder of `path` under its name.
    resume : bool
        Take over the finished shards of an interrupted run, and the pairs of a finished file of fewer.
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
    OSError, RuntimeError
        If the file cannot be written; if worker processes die again and again.
    """
    names = (geometries,) if isinstance(geometries, str) else tuple(geometries)
    drawn: dict[str, Any] = {"material": material, "geometries": names, "seed": seed, "split": split}
    made: dict[str, Any] = {"steps": steps, "propagation": propagation, "drift": drift}
    request, measured = make_request(setup, reference, dark, flat, **drawn, **made)
    plan = make_plan(request, n, path, compression, measured)
    run_plan(plan, workers=workers, client=client, resume=resume, overwrite=overwrite)
    return plan.target


def make_request(
    setup: Setup,
    reference: str | os.PathLike[str] | None = None,
    dark: str | os.PathLike[str] | None = None,
    flat: str | os.PathLike[str] | None = None,
    **options: Any,
) -> "tuple[Request, MeasuredReference | None]":
    """Check a request, that of a measured reference included; `options` are those of `Request.create`.

    Raises
    ------
    ValueError
        As `Request.create` and `MeasuredReference.admit`; also if dark or flat goes with no reference.
    OSError
        If an image cannot be read.
    """
    if reference is None:
        if not (dark is None and flat is None):
            raise ValueError("dark and flat go with a reference, got none")
        return Request.create(setup, **options), None
    from specksim.measured import MeasuredReference  # and all that reads images: few runs need it

    measured = MeasuredReference.create(reference, dark, flat)
    setup, sha256 = measured.admit(setup)
    return Request.create(setup, reference=sha256, **options), measured


def run_plan(
    plan: Plan,
    *,
    workers: int = 1,
    client: "Client | None" = None,
    share: tuple[int, int] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    announce: Callable[[Sequence[Shard]], None] = lambda shards: None,
    progress: Callable[[int], None] = lambda pairs: None,
    track: Track = iter,
    early: EarlyWorkers | None = None,
) -> int:
    """Carry out a plan; see `generate`.

    Parameters
    ----------
    plan : Plan
    workers, client, resume, overwrite
        As in `generate`.
    share : (int, int), optional
        (i, N): simulate the i-th of N shares of the shards, i from 1, and leave them to `merge_shards`.
    announce : callable
        Given the shards that will be simulated, when it is sure that the run can begin.
    progress : callable
        Given the number of pairs since its last call; less than zero when a shard is begun again.
    track : callable
        Passes the shards on to be merged, one by one.
    early : list, optional
        Workers that have started already, see `workers.start_early`.

    Returns
    -------
    int
        Number of pairs simulated: 0 where `resume` found all of them.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other")
    mine = plan.shards if share is None else _share_of(plan, *share)
    with lock(plan.target, shared=share is not None):
        finished = plan.finished() if share is None else _only(plan.finished(), mine)
        remnants = [*finished.values(), *(plan.unfinished() if share is None else [])]
        if not (resume or overwrite):
            _refuse_remnants(plan, remnants)
        if share is not None and plan.target.exists():
            _require_same(plan, plan.target)  # or else there would be nothing to merge with
        stock = _stock(plan, mine, with_target=True) if resume else {}
        todo = [shard for shard in mine if shard.number not in stock]
        if todo and plan.reference is None:
            require_sampling(plan.request.setup)
        if client is None:
            require_memory(plan, min(workers, len(todo)))
        for path in remnants if overwrite else plan.unfinished() if share is None else []:
            path.unlink()
        pairs = sum(shard.pairs for shard in todo)
        require_room(plan, pairs + (plan.n if todo and share is None and len(plan.shards) > 1 else 0))
        announce(todo)
        progress(sum(rows.count for rows in stock.values()))
        _simulate(plan, todo, workers, client, progress, early)
        if share is None:
            _merge(plan, track, with_target=not overwrite)
    return pairs


def merge_shards(target: Path, track: Track = iter) -> tuple[Plan, int]:
    """Merge the finished shards beside a file, and the pairs of the file where it exists, into the file.

    Parameters
    ----------
    target : Path
        The file.
    track : callable
        Passes the shards on to be merged, one by one.

    Returns
    -------
    plan : Plan
        Of the file.
    shards : int
        Number of shards merged: 0 where the file was complete.

    Raises
    ------
    ValueError
        If shards are missing, damaged, or answer different requests.
    OSError
        If there are neither shards nor the file, or it cannot be written.
    """
    found = finished_shards(target)
    if not found and not target.exists():
        raise FileNotFoundError(f"{target}: there are no shards of it ({target.name}.shard-00000 …) to merge")
    with lock(target):
        planned = 0
        for path in [*found.values(), *([target] if target.exists() else [])]:
            with open_dataset(path) as dataset:
                request, compression = dataset.request, dataset.provenance()["compression"]
                planned = max(planned, dataset.planned_pairs())
        plan = Plan(request, planned, target, compression)
        require_room(plan, planned)
        return plan, _merge(plan, track, with_target=True)


def write_shard(plan: Plan, shard: Shard, tick: Tick) -> None:
    """Simulate one shard and write it; `tick` is called after each pair."""
    keep_freed_memory()
    request = plan.request
    setup = request.setup
    with writer.complete_file(plan.shard_path(shard.number), plan.new_part_path(shard.number)) as file:
        fields = writer.create_layout(file.hdf5, request, shard.pairs, plan.compression, planned=plan.n)
        field = _field_of(plan, shard)
        parameters = []
        for row, index in enumerate(range(shard.first, shard.stop)):
            pair = draw_pair(setup, field, **request.pair(index))
            parameters.append(writer.write_images(fields, row, pair))
            file.raise_failure()
            tick()
        writer.write_parameters(file.hdf5, parameters)
        writer.seal(file.hdf5)


def _field_of(plan: Plan, shard: Shard) -> SpeckleField:
    request = plan.request
    if plan.reference is not None:
        from specksim.measured import measured_field

        return measured_field(plan.reference, request.reference, request.setup.numerics.oversampling)
    rng = seeds.field_rng(request.seed, request.split, shard.number)
    return simulate_field(request.setup, rng, waves=request.propagation == "waves")


def _share_of(plan: Plan, number: int, count: int) -> tuple[Shard, ...]:
    if not 1 <= number <= count:
        raise ValueError(f"--shard must be I/N with 1 <= I <= N, got {number}/{count}")
    return plan.shards[number - 1 :: count]


def _only(finished: dict[int, Path], shards: Sequence[Shard]) -> dict[int, Path]:
    numbers = {shard.number for shard in shards}
    return {number: path for number, path in finished.items() if number in numbers}


def _refuse_remnants(plan: Plan, remnants: Sequence[Path]) -> None:
    """Nothing that stands in the way of a run is replaced or taken over silently."""
    if plan.target.exists():
        raise FileExistsError(f"{plan.target} exists; --overwrite replaces it, --resume extends it")
    if remnants:
        raise FileExistsError(
            f"{remnants[0]} is left from an interrupted run: --resume goes on, --overwrite starts anew"
        )


def _stock(plan: Plan, shards: Sequence[Shard], *, with_target: bool) -> dict[int, Rows]:
    """Where the pairs of finished shards lie, by number: in the target, or in files of their own.

    Raises
    ------
    ValueError
        If what is there answers another request, is damaged, or holds more pairs than the plan.
    """
    stock: dict[int, Rows] = {}
    if with_target and plan.target.exists():
        length = _require_same(plan, plan.target)
        if length > plan.n:
            raise ValueError(f"{plan.target} cannot be resumed: n: {length} there, {plan.n} asked for")
        stock = {s.number: Rows(plan.target, s.first, s.pairs) for s in shards if s.stop <= length}
    if len(stock) == len(shards):
        return stock
    sizes, beyond = {shard.number: shard.pairs for shard in shards}, len(plan.shards)
    for number, path in plan.finished().items():
        if number in stock or (number not in sizes and number < beyond):
            continue
        pairs = _require_same(plan, path)
        if pairs > sizes.get(number, 0):
            raise ValueError(
                f"{path} cannot be resumed: n: the interrupted run was to make more than the {plan.n} pairs "
                "asked for; --overwrite starts anew"
            )
        if pairs == sizes[number]:
            stock[number] = Rows(path, 0, pairs)
    return stock


def _require_same(plan: Plan, path: Path) -> int:
    """Number of pairs in a file to be resumed or merged; refuse one that would not be made like that now."""
    try:
        with open_dataset(path) as dataset:
            difference = plan.request.difference(dataset.request)
            provenance = dataset.provenance()
            pairs = len(dataset)
    except ValueError as error:
        raise ValueError(f"{error}; remove the file, or start anew by --overwrite") from None
    ours = {"compression": plan.compression, **{name: writer.versions()[name] for name in _MUST_AGREE}}
    theirs = {"compression": provenance["compression"], **provenance["versions"]}
    for name, value in ours.items():
        if not difference and theirs.get(name) != value:
            difference = f"{name}: {theirs.get(name)!r} there, {value!r} asked for"
    if difference:
        raise ValueError(f"{path} cannot be resumed: {difference}; --overwrite starts anew")
    return pairs


def _simulate(
    plan: Plan,
    shards: Sequence[Shard],
    workers: int,
    client: "Client | None",
    progress: Callable[[int], None],
    early: EarlyWorkers | None,
) -> None:
    """Simulate shards here or on a cluster."""
    if client is None:
        run_tasks(write_shard, [(plan, shard) for shard in shards], workers, progress, early=early)
        return
    there = dataclasses.replace(plan, target=plan.target.absolute())
    run_tasks_on(client, write_shard, [(there, shard) for shard in shards], progress)
    deadline = time.monotonic() + _LATE_SECONDS
    while missing := {shard.number for shard in shards} - set(plan.finished()):
        if time.monotonic() > deadline:  # network file systems may show a file late
            raise FileNotFoundError(
                f"{plan.shard_path(min(missing))} was written by a worker of the cluster and is not here: "
                f"the workers must reach {there.target.parent} under this name"
            )
        time.sleep(0.5)


def _merge(plan: Plan, track: Track, *, with_target: bool) -> int:
    """Make one file of what is finished, and remove the rest; the number of shards that were merged."""
    stock = _stock(plan, plan.shards, with_target=with_target)
    missing = [shard for shard in plan.shards if shard.number not in stock]
    if missing:
        numbers = ", ".join(str(shard.number) for shard in missing[:8])
        raise ValueError(
            f"{plan.target} cannot be merged: {len(missing)} of {len(plan.shards)} shards are missing "
            f"({numbers}{', …' if len(missing) > 8 else ''}): simulate them by `specksim generate --resume`, "
            "or by --shard"
        )
    pieces = [stock[shard.number] for shard in plan.shards]
    merged = [piece for piece in pieces if piece.path != plan.target]
    if merged and len(pieces) == 1:
        writer.move(pieces[0].path, plan.target)
    elif merged:
        with writer.complete_file(plan.target) as file:
            writer.merge(file, track(pieces), plan.request, plan.n, plan.compression)
    known = {piece.path for piece in merged}
    for path in [*_only(plan.finished(), plan.shards).values(), *plan.unfinished()]:
        if path in known or path.suffix == ".part" or _answers(plan, path):
            path.unlink()
    return len(merged)


def _answers(plan: Plan, path: Path) -> bool:
    """Whether a shard is one that a run merged which was killed before it removed it."""
    with open_dataset(path) as dataset:
        return not plan.request.difference(dataset.request)
