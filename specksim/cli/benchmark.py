"""specksim benchmark"""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specksim.benchmark.arguments import CONDITIONS, PAIRS, Benchmark
from specksim.cli.options import cores, load_setup, setup_options
from specksim.cli.terminal import note, progress

if TYPE_CHECKING:
    from specksim.benchmark.results import Results

_DEFAULT_SETUP = "imbl-28kev"


@click.command()
@click.argument("files", nargs=-1, type=click.Path(), metavar="[FILE…]")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME[:MODEL][@OPTION=VALUE,…]",
    help="See `specksim retrieve --methods`; repeatable. An option given, e.g. @window=13, is not searched.",
)
@click.option(
    "--exposures", metavar="K,…", help="Default: 1, and for trackers all there are of 1, 2, 4, 10, 20."
)
@click.option(
    "--validation",
    type=click.Path(),
    help="Pairs on which windows for FILE… are chosen. Default: simulated.",
)
@click.option(
    "--conditions",
    "names",
    multiple=True,
    type=click.Choice((*CONDITIONS, "all")),
    help="Simulate conditions and compare under them; repeatable.",
)
@setup_options
@click.option(
    "--pairs",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Pairs of a condition, and of each FILE at most. Default: {PAIRS}, and all.",
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes. Default: one a core.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("-o", "--out", type=click.Path(file_okay=False), metavar="DIR", help="Folder of the results.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option(
    "--reproduce",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Run the benchmark of DIR again, into DIR/again or -o, and compare. Status 1 if it differs.",
)
@click.pass_context
def benchmark(
    ctx: click.Context,
    files: tuple[str, ...],
    methods: tuple[str, ...],
    exposures: str | None,
    validation: str | None,
    names: tuple[str, ...],
    setup_source: str,
    assignments: tuple[str, ...],
    pairs: int | None,
    workers: int | None,
    seed: int,
    out: str | None,
    resume: bool,
    overwrite: bool,
    reproduce: str | None,
) -> None:
    """Compare methods on data with known truth: errors, resolution, time, memory.

    FILE is a data set of `specksim generate` or `specksim suite`. Each method gets the window that is best on
    validation pairs. Writes results.csv, results.json, figures and report.html into DIR, and a Markdown table
    to stdout.

    \b
    specksim benchmark data/evaluation-flower.h5 --method umpa --method lcs -o out
    specksim benchmark --conditions all --method umpa --method unet:run -o curves
    specksim benchmark --reproduce out
    """
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    if reproduce is not None:
        _refuse_with_reproduce(ctx)
        _reproduce(ctx, reproduce, out, workers, resume, overwrite)
        return
    if not names and (setup_source != _DEFAULT_SETUP or assignments):
        raise click.UsageError("--setup and --set go with --conditions; a FILE has its own setup")
    setup = load_setup(setup_source, assignments).to_toml() if names else ""
    numbers, data = _numbers(exposures), validation or ""
    try:
        asked = Benchmark(files, methods, numbers, data, names, pairs or 0, seed, setup)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if out is None:
        raise click.UsageError("give -o DIR")
    _run(asked, Path(out), _command(asked, setup_source, assignments), workers, resume, overwrite)


def _numbers(text: str | None) -> tuple[int, ...]:
    try:
        return () if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"must be whole numbers, as in 1,4,10, got {text!r}", param_hint="--exposures"
        ) from None


def _refuse_with_reproduce(ctx: click.Context) -> None:
    """What was run is what is run again: nothing of it may be given anew."""
    own = {"reproduce", "out", "workers", "resume", "overwrite"}
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if parameter.name not in own and source is click.core.ParameterSource.COMMANDLINE:
            given = "FILE" if isinstance(parameter, click.Argument) else parameter.opts[-1]
            raise click.UsageError(f"--reproduce runs what the folder says: it does not go with {given}")


def _reproduce(
    ctx: click.Context, source: str, out: str | None, workers: int | None, resume: bool, overwrite: bool
) -> None:
    """Run again what a folder holds, and say what differs."""
    from specksim.benchmark.results import differences
    from specksim.benchmark.runner import stored_benchmark

    asked, old = stored_benchmark(Path(source))
    folder = Path(out) if out else Path(source) / "again"
    if folder.resolve() == Path(source).resolve():
        raise click.UsageError("-o must be another folder than the one that is reproduced")
    new = _run(asked, folder, old.command, workers, resume, overwrite, table=False)
    changes = differences(old, new)
    for name, number in old.versions.items():
        if new.versions.get(name) != number:
            note(f"{name} was {number}, is {new.versions.get(name, 'not installed')}")
    for line in changes:
        click.echo(line)
    if changes:
        note(f"{len(changes)} differences between {source} and {folder}")
        ctx.exit(1)
    click.echo(f"{folder}: all {len(new.figures)} figures of {source}, but for times and memory")


def _run(
    asked: Benchmark,
    folder: Path,
    command: str,
    workers: int | None,
    resume: bool,
    overwrite: bool,
    table: bool = True,
) -> "Results":
    """Run a benchmark with a bar on stderr, and report it."""
    from specksim.benchmark.report import write_report
    from specksim.benchmark.runner import run_benchmark

    with progress(unit="pair") as bar, _said_how_to_go_on():
        results = run_benchmark(
            asked,
            folder,
            command=command,
            workers=workers or cores(),
            resume=resume,
            overwrite=overwrite,
            say=note,
            progress=bar.update,
        )
    words = write_report(folder)
    if table:
        click.echo(words)
    note(f"wrote {folder}")
    return results


@contextlib.contextmanager
def _said_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException("interrupted: --resume goes on with what is not done") from None


def _command(asked: Benchmark, setup_source: str, assignments: tuple[str, ...]) -> str:
    """The command, without where results go and what does not change them."""
    words = ["specksim", "benchmark", *asked.files]
    options: list[tuple[str, Any]] = [("--method", method) for method in asked.methods]
    options += [("--exposures", ",".join(map(str, asked.exposures)))] if asked.exposures else []
    options += [("--validation", asked.validation)] if asked.validation else []
    options += [("--conditions", name) for name in asked.conditions]
    options += [("--setup", setup_source)] if setup_source != _DEFAULT_SETUP else []
    options += [("--set", assignment) for assignment in assignments]
    options += [(name, value) for name, value in (("--pairs", asked.pairs), ("--seed", asked.seed)) if value]
    return shlex.join([*words, *(str(word) for option in options for word in option)])
