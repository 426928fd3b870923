"""What every command says beside its results: notes and progress, unless it is to be quiet; versions."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

_QUIET, _VERBOSE = "specksim.quiet", "specksim.verbose"


def common_options(program: str, packages: Iterable[str]) -> Callable[..., Any]:
    """Add `-q`, `-v` and `--version` to a group of commands.

    Parameters
    ----------
    program : str
        Name of the command.
    packages : iterable of str
        Distributions whose versions matter for a report of an error.
    """

    def add(group: Callable[..., Any]) -> Callable[..., Any]:
        def flag(key: str, *names: str, text: str) -> Callable[..., Any]:
            def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
                ctx.meta[key] = value

            return click.option(*names, is_flag=True, expose_value=False, callback=remember, help=text)

        def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
            if value and not ctx.resilient_parsing:
                click.echo(_versions(program, packages))
                ctx.exit()

        text = "Print the versions that a report of an error should name, and stop."
        version = click.option(
            "--version", is_flag=True, is_eager=True, expose_value=False, callback=show, help=text
        )
        quiet = flag(_QUIET, "-q", "--quiet", text="No notes and no progress on stderr; errors stay.")
        verbose = flag(_VERBOSE, "-v", "--verbose", text="The traceback of an error, too.")
        return quiet(verbose(version(group)))

    return add


def is_quiet() -> bool:
    """Whether the command that runs was called with `-q`."""
    return _said(_QUIET)


def is_verbose() -> bool:
    """Whether the command that runs was called with `-v`."""
    return _said(_VERBOSE)


def _said(key: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(key))


def note(words: str) -> None:
    """Say something on stderr, above the bar if there is one."""
    if not is_quiet():
        from tqdm import tqdm

        tqdm.write(words, file=sys.stderr)


def progress(*iterable: Iterable[Any], **settings: Any) -> Any:
    """A bar of tqdm on stderr, with the time that is left, if stderr is a terminal."""
    from tqdm import tqdm

    return tqdm(*iterable, file=sys.stderr, disable=True if is_quiet() else None, **settings)


def _versions(program: str, packages: Iterable[str]) -> str:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import h5py

    from specksim import __version__

    lines = [f"{program}, version {__version__}", f"Python {platform.python_version()}"]
    for package in packages:
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"{package} is not installed")
    lines.append(f"HDF5 {h5py.version.hdf5_version}")
    lines.append(f"on {platform.platform()}")
    return "\n".join(lines)
