"""specksim suite"""

import shlex

import click

from specksim.cli.generate import run
from specksim.cli.options import cores, load_setup, setup_options, writing_options
from specksim.cli.terminal import note


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@setup_options
@click.option(
    "--n-scale",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Factor on the number of pairs of every file.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@writing_options
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
def suite(
    folder: str,
    setup_source: str,
    assignments: tuple[str, ...],
    n_scale: float,
    seed: int,
    compression: str,
    workers: int | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Write the published data set into a folder.

    training.h5 (600 pairs), validation.h5 (120) and, with 15 positions of the sandpaper,
    evaluation-nylon-fiber.h5, evaluation-nylon-sphere.h5 and evaluation-flower.h5 (20 each); manifest.json
    with checksums, README.md with pictures and statistics. About 1.3 GB.

    \b
    specksim suite data
    specksim suite small --n-scale 0.05 --setup mct-25kev
    """
    from pathlib import Path

    from specksim.benchmark.suite import describe_suite, plan_suite

    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    path = Path(folder)
    plans = plan_suite(
        path, load_setup(setup_source, assignments), scale=n_scale, seed=seed, compression=compression
    )
    there = [plan.target for plan in plans if plan.target.exists()]
    if there and not (resume or overwrite):
        raise click.ClickException(f"{there[0]} exists: --resume goes on, --overwrite starts anew")
    for plan in plans:
        run(plan, workers or cores(), resume, overwrite)
    note("manifest.json, README.md: checksums and pictures of all files")
    describe_suite(path, plans, _command(setup_source, assignments, n_scale, seed, compression))
    click.echo(f"{path}: {len(plans)} files, {sum(plan.n for plan in plans)} pairs, manifest.json, README.md")


def _command(
    setup_source: str, assignments: tuple[str, ...], n_scale: float, seed: int, compression: str
) -> str:
    """The command without what does not change the data."""
    words = ["specksim", "suite", "DIR"]
    for option, value, default in (
        ("--setup", setup_source, "imbl-28kev"),
        *(("--set", assignment, None) for assignment in assignments),
        ("--n-scale", f"{n_scale:g}", "1"),
        ("--seed", str(seed), "0"),
        ("--compression", compression, "none"),
    ):
        if value != default:
            words += [option, value]
    return shlex.join(words)
