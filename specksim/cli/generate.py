"""specksim generate"""

import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from specksim.cli.options import cores, load_setup, setup_options

if TYPE_CHECKING:
    from specksim.generation import Plan, Shard

_ANNOUNCED_SECONDS = 2.0


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
    help="How the sample is made: by rays, or by Fresnel propagation, about 7 times slower.",
)
@click.option("-o", "--out", type=click.Path(), help="The file to write. Default: MATERIAL.h5")
@click.option(
    "--compression",
    type=click.Choice(["none", "bitshuffle", "gzip"]),
    default="none",
    show_default=True,
    help="bitshuffle needs hdf5plugin to be read.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: all cores.")
@click.option("--resume", is_flag=True, help="Go on with the finished shards of an interrupted run.")
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
    out: str | None,
    compression: str,
    workers: int | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Simulate a data set of labelled pairs and write it to a file.

    \b
    specksim generate --material nylon --n 150
    specksim generate --material mixed --geometry sphere --setup my.toml -o mine.h5
    """
    start = time.perf_counter()  # the imports below are part of what the user waits for
    from specksim.generation import make_plan
    from specksim.phantoms import TRAINING
    from specksim.request import Request

    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    if density is not None:
        if material == "mixed" or "@" in material:
            raise click.UsageError(f"--density does not go with --material {material}")
        material = f"{material}@{density!r}"
    setup = load_setup(setup_source, assignments)
    if photons is not None:
        setup = setup.with_values(detector__photons_per_pixel=photons)
    request = Request.create(
        setup,
        material=material,
        geometries=geometries or TRAINING,
        split=split,
        seed=seed,
        steps=steps,
        propagation=propagation,
    )
    plan = make_plan(request, n, out or f"{_file_name(material)}.h5", compression)
    simulated = run(plan, workers or cores(), resume, overwrite)
    seconds = time.perf_counter() - start
    size = f"{plan.target.stat().st_size / 1e6:.1f} MB"
    if simulated == 0:
        click.echo(f"{plan.target}: complete, {_pairs(n)}, {size}; nothing was left to simulate")
        return
    rate = f"{simulated / seconds:.1f} pairs/s"
    click.echo(f"{plan.target}: {_pairs(simulated)} in {seconds:.1f} s ({rate}), {size}")


def run(plan: "Plan", workers: int, resume: bool, overwrite: bool) -> int:
    """Carry the plan out with a bar on stderr; the number of pairs simulated."""
    from tqdm import tqdm

    from specksim.generation import estimate_seconds, run_plan

    def announce(shards: "Sequence[Shard]") -> None:
        processes = min(workers, len(shards))
        seconds = estimate_seconds(plan.request, shards, processes)
        if seconds > _ANNOUNCED_SECONDS:
            click.echo(
                f"{_pairs(plan.n)} of {plan.request.describe()}: about {_duration(seconds)} and "
                f"{plan.data_bytes / 1e6:.0f} MB, {processes} process{'' if processes == 1 else 'es'}",
                err=True,
            )

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    try:
        with tqdm(total=plan.n, unit="pair", file=sys.stderr, disable=None) as bar:
            return run_plan(
                plan,
                workers=workers,
                resume=resume,
                overwrite=overwrite,
                announce=announce,
                progress=bar.update,
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
