"""specksim generate"""

import contextlib
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from specksim.cli.options import cores, load_setup, setup_options, writing_options
from specksim.cli.terminal import note, progress

if TYPE_CHECKING:
    from specksim.generation import Plan, Shard
    from specksim.workers import EarlyWorkers

_ANNOUNCED_SECONDS = 2.0
_PAIRS_EACH = 75  # of a worker that is started before the setup says how many pairs a shard has


class Photons(click.ParamType):
    """A number of photons, or `none`."""

    name = "N|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, str) and value.lower() == "none":
            return float("inf")
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'none'", param, ctx)


class Share(click.ParamType):
    """I/N: one of several shares."""

    name = "I/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        number, _, count = str(value).partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            self.fail(f"{value!r} is not I/N with 1 <= I <= N", param, ctx)
        return int(number), int(count)


@click.command()
@click.option(
    "--material",
    default="nylon",
    show_default=True,
    help="nylon, pmma, al2o3, mixed, a NIST name or formula.",
)
@click.option(
    "--density", type=float, metavar="G_CM3", help="Density of the material, g/cm³; needed for a formula."
)
@click.option("--n", type=click.IntRange(min=1), default=150, show_default=True, help="Number of pairs.")
@click.option(
    "--geometry",
    "geometries",
    multiple=True,
    metavar="NAME",
    help="sphere, fiber, spheres-in-fiber, spheres-in-block, ellipsoid, cone, tube, composite, flower, "
    "wedge, steps, blobs, star, empty, mesh:FILE@UNIT, thickness:FILE@UNIT, or another package's; "
    "repeatable, taken in turn. Default: the first four.",
)
@setup_options
@click.option(
    "--photons", type=Photons(), help="Mean count of the reference, or none for images without noise."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--split",
    type=click.Choice(["training", "validation", "evaluation"]),
    default="training",
    show_default=True,
    help="Splits never share a sandpaper.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Positions of the sandpaper for each pair.",
)
@click.option(
    "--propagation",
    type=click.Choice(["rays", "waves"]),
    default="rays",
    show_default=True,
    help="How the sample is made: by rays, or by Fresnel propagation, six to nine times slower.",
)
@click.option(
    "--drift",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Share of the pairs in which beam or detector move too: 0.02 to 3 px, linear parts, ripples.",
)
@click.option(
    "--reference",
    metavar="FILE",
    help="A measured reference as the speckle: TIFF, FILE.h5::/path or NumPy.",
)
@click.option("--dark", metavar="FILE", help="Image without beam, taken off the reference and the flat.")
@click.option("--flat", metavar="FILE", help="Image of the beam alone; the reference is divided by it.")
@click.option("-o", "--out", type=click.Path(), help="The file to write. Default: MATERIAL.h5")
@writing_options
@click.option("--scheduler", metavar="ADDRESS", help="Simulate on the Dask cluster of this scheduler.")
@click.option(
    "--shard",
    "share",
    type=Share(),
    help="Simulate share I of N of the shards, I from 1, and leave them to `specksim merge`.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the finished shards of an interrupted run, or with a finished file of fewer pairs.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace an existing file and remove the remnants of an interrupted run.",
)
def generate(
    material: str,
    density: float | None,
    n: int,
    geometries: tuple[str, ...],
    setup_source: str,
    assignments: tuple[str, ...],
    photons: float | None,
    seed: int,
    split: str,
    steps: int,
    propagation: str,
    drift: float,
    reference: str | None,
    dark: str | None,
    flat: str | None,
    out: str | None,
    compression: str,
    workers: int | None,
    scheduler: str | None,
    share: tuple[int, int] | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Simulate a data set of labelled pairs and write it to a file.

    \b
    specksim generate --material nylon --n 150
    specksim generate --material mixed --geometry sphere --setup my.toml -o mine.h5
    """
    start = time.perf_counter()  # the imports below are part of what the user waits for
    for one, other, both in (
        ("--resume", "--overwrite", resume and overwrite),
        ("--scheduler", "--workers", scheduler and workers),
        ("--scheduler", "--shard", scheduler and share),
    ):
        if both:
            raise click.UsageError(f"{one} and {other} exclude each other")
    if (dark or flat) and not reference:
        raise click.UsageError("--dark and --flat go with --reference")
    material = _with_density(material, density)
    from specksim.workers import start_early

    processes = workers or cores()
    first = 0 if scheduler or share or resume else _early(processes, n)
    with start_early(first, "specksim.generation", "specksim.forward:warm_up") as early:
        from specksim.generation import make_request
        from specksim.phantoms import TRAINING
        from specksim.plan import make_plan

        setup = load_setup(setup_source, assignments)
        if photons is not None:
            setup = setup.with_values(detector__photons_per_pixel=photons)
        request, measured = make_request(
            setup,
            reference,
            dark,
            flat,
            material=material,
            geometries=geometries or TRAINING,
            split=split,
            seed=seed,
            steps=steps,
            propagation=propagation,
            drift=drift,
        )
        plan = make_plan(request, n, out or f"{_file_name(material)}.h5", compression, measured)
        simulated = run(plan, processes, resume, overwrite, scheduler, share, early)
    _report(plan, share, simulated, time.perf_counter() - start)


def _early(processes: int, n: int) -> int:
    """Workers to start before it is known how many there is work for: none where one process may do."""
    count = min(processes, n // _PAIRS_EACH)
    return count if count > 1 else 0


def _with_density(material: str, density: float | None) -> str:
    if density is None:
        return material
    if material == "mixed" or "@" in material:
        raise click.UsageError(f"--density does not go with --material {material}")
    return f"{material}@{density!r}"


def _report(plan: "Plan", share: tuple[int, int] | None, simulated: int, seconds: float) -> None:
    """The closing line."""
    done = f"{_pairs(simulated)} in {seconds:.1f} s ({simulated / seconds:.1f} pairs/s)"
    if share is not None:
        finished = f"{len(plan.finished())} of {len(plan.shards)} shards are finished"
        there = f" beside {plan.target}" if plan.target.exists() else ""
        click.echo(
            f"share {share[0]} of {share[1]}: {done}; {finished}{there}; "
            f"when all are: specksim merge {plan.target}"
        )
        return
    size = f"{plan.target.stat().st_size / 1e6:.1f} MB"
    if simulated == 0:
        click.echo(f"{plan.target}: complete, {_pairs(plan.n)}, {size}; nothing was left to simulate")
    else:
        click.echo(f"{plan.target}: {done}, {size}")


def run(
    plan: "Plan",
    workers: int,
    resume: bool,
    overwrite: bool,
    scheduler: str | None = None,
    share: tuple[int, int] | None = None,
    early: "EarlyWorkers | None" = None,
) -> int:
    """Carry the plan out with a bar on stderr; the number of pairs simulated."""
    from specksim.cluster import connect
    from specksim.generation import run_plan
    from specksim.plan import estimate_seconds

    def announce(shards: "Sequence[Shard]") -> None:
        pairs = sum(shard.pairs for shard in shards)
        megabytes = 1e-6 * pairs * plan.pair_bytes
        bar.reset(pairs if share else plan.n)
        processes = min(workers, len(shards))
        seconds = estimate_seconds(plan, shards, processes)
        if seconds > _ANNOUNCED_SECONDS and not scheduler:
            note(
                f"{_pairs(pairs)} of {plan.request.describe()}: about {_duration(seconds)} and "
                f"{megabytes:.0f} MB, {processes} process{'' if processes == 1 else 'es'}"
            )

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    try:
        with (
            connect(scheduler) if scheduler else contextlib.nullcontext() as client,
            progress(total=plan.n, unit="pair", desc=plan.target.name) as bar,
        ):
            return run_plan(
                plan,
                workers=workers,
                client=client,
                share=share,
                resume=resume,
                overwrite=overwrite,
                announce=announce,
                progress=bar.update,
                track=partial(progress, desc="merging", unit="shard", leave=False),
                early=early,
            )
    except KeyboardInterrupt:
        kept = len(plan.finished())
        left = f": {kept} of {len(plan.shards)} shards are finished, --resume goes on" if kept else ""
        raise click.ClickException(f"interrupted{left}") from None


def _pairs(n: int) -> str:
    return f"{n} pair{'' if n == 1 else 's'}"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _file_name(material: str) -> str:
    """A material as the name of a file."""
    return "".join(letter if letter.isalnum() or letter in "-_.@" else "-" for letter in material)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
