"""Options that several commands share."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

    from specksim.setups import Setup


set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of the setup, e.g. detector.photons_per_pixel=500; repeatable.",
)


def setup_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--setup` and `--set`."""
    command = set_option(command)
    return click.option(
        "--setup",
        "setup_source",
        default="imbl-28kev",
        show_default=True,
        metavar="NAME|FILE.toml",
        help="A preset (see `specksim setups`) or a TOML file.",
    )(command)


def writing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--compression` and `--workers`."""
    command = click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: all cores.")(
        command
    )
    return click.option(
        "--compression",
        type=click.Choice(["none", "bitshuffle", "gzip"]),
        default="none",
        show_default=True,
        help="bitshuffle needs hdf5plugin to be read.",
    )(command)


def measurement_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what turns measured images into a file of maps: setup, corrections, where results go."""
    for option in reversed(
        (
            click.option(
                "--setup",
                "setup_source",
                metavar="NAME|FILE.toml",
                help="A preset or a TOML file; with it the phase is integrated.",
            ),
            set_option,
            click.option("--dark", type=click.Path(), help="Images without beam; their mean is subtracted."),
            click.option(
                "--flat", type=click.Path(), help="Images without sandpaper and object, to divide by."
            ),
            click.option(
                "-o",
                "--out",
                type=click.Path(),
                help="The file to write. Default: SAMPLE-retrieved.h5; of a network, -predicted.h5",
            ),
            click.option(
                "--figure", type=click.Path(), metavar="PNG", help="Draw the maps of the first pair."
            ),
            click.option("--overwrite", is_flag=True, help="Replace an existing file."),
        )
    ):
        command = option(command)
    return command


def load_setup(source: str, assignments: tuple[str, ...]) -> "Setup":
    """The setup that `--setup` and `--set` describe."""
    from specksim.setups import Setup

    return Setup.load(source).with_assignments(assignments)


def optional_setup(source: str | None, assignments: tuple[str, ...]) -> "Setup | None":
    """The same, or None without `--setup`, of which `--set` is wrong usage."""
    if source is None:
        if assignments:
            raise click.UsageError("--set needs --setup")
        return None
    return load_setup(source, assignments)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def result_path(out: str | None, sources: Sequence[str], overwrite: bool, ending: str) -> "Path":
    """Where to write the results of some files of images; by default the last one's name, with an ending.

    Raises
    ------
    FileNotFoundError
        If no file is of a source's pattern, or there is no such folder.
    IsADirectoryError
        If it is a folder.
    FileExistsError
        If the file is there and is not to be replaced.
    ValueError
        If it is one of the sources.
    """
    import re
    from pathlib import Path

    from specksim.images import source_files

    files = [Path(file.partition("::")[0]) for source in sources for file in source_files(source)]
    last = Path(sources[-1].partition("::")[0])
    name = last if last.exists() else Path(re.sub(r"[*?]|\[[^]]*\]", "", last.name))  # of a pattern
    target = Path(out) if out else Path(f"{name.stem}-{ending}.h5")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: name a file")
    if target.exists():
        if any(file.exists() and target.samefile(file) for file in files):
            raise ValueError(f"{target} is read from: write the results to another file")
        if not overwrite:
            raise FileExistsError(f"{target} exists; give --overwrite to replace it")
    return target


def picture_path(path: "str | Path") -> "Path":
    """Where to draw a picture: refused if something else than a picture is there."""
    from pathlib import Path

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise click.ClickException(f"{path}: pictures are PNG files: the name must end in .png")
    if not path.parent.is_dir():
        raise click.ClickException(f"{path}: the folder {path.parent} does not exist")
    if path.is_file() and path.read_bytes()[:4] != b"\x89PNG":
        raise click.ClickException(f"{path} exists and is no PNG: it is left as it is")
    return path
