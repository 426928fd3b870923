"""specksim generate"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from specksim.cli.options import load_setup, setup_options

if TYPE_CHECKING:
    from specksim.generation import Shard

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
    help="Geometry; repeatable, taken in turn. Default: the four of training.",
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
    import time

    start = time.perf_counter()
    from tqdm import tqdm

    from specksim.generation import estimate_seconds, make_plan, run_plan
    from specksim.phantoms import TRAINING
    from specksim.request import Request

    setup = load_setup(setup_source, assignments)
    if photons is not None:
        setup = setup.with_values(detector__photons_per_pixel=photons)
    name = material if density is None else f"{material.partition('@')[0]}@{density:g}"
    request = Request.create(
        setup, material=name, geometries=geometries or TRAINING, split=split, seed=seed, steps=steps
    )
    plan = make_plan(request, n, out or f"{_file_name(material)}.h5", compression)
    workers = workers or _cores()

    def announce(shards: "Sequence[Shard]") -> None:
        processes = min(workers, len(shards))
        seconds = estimate_seconds(setup, shards, processes)
        if seconds > _ANNOUNCED_SECONDS:
            click.echo(
                f"{n} pairs of {request.describe()}: about {_duration(seconds)} and "
                f"{plan.data_bytes / 1e6:.0f} MB, {processes} process{'es' if processes > 1 else ''}",
                err=True,
            )

    signal.signal(signal.SIGTERM, _interrupt)
    with tqdm(total=n, unit="pair", file=sys.stderr, disable=None) as bar:
        simulated = run_plan(
            plan,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            announce=announce,
            progress=bar.update,
        )
    seconds = time.perf_counter() - start
    size = f"{plan.target.stat().st_size / 1e6:.0f} MB"
    if simulated == 0:
        click.echo(f"{plan.target}: complete, {n} pairs, {size}; nothing was left to simulate")
        return
    rate = f"{simulated / seconds:.1f} pairs/s"
    click.echo(f"{plan.target}: {simulated} pairs in {seconds:.1f} s ({rate}), {size}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _file_name(material: str) -> str:
    """A material as the name of a file."""
    return "".join(letter if letter.isalnum() or letter in "-_.@" else "-" for letter in material)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
