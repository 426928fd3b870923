"""The command `specksim`. One module a command, loaded when it is called for: `--help` stays light."""

import difflib
import errno
import traceback
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from specksim.cli.terminal import common_options, is_verbose

_COMMANDS = {
    "generate": "Simulate a data set of labelled pairs and write it to a file.",
    "suite": "Write the published data set into a folder.",
    "merge": "Merge the shards of a data set that were simulated one by one.",
    "info": "Say what a data set holds.",
    "check": "Verify checksums and physics of a data set.",
    "retrieve": "Displacement, phase and more from images, by a tracker.",
    "benchmark": "Compare methods on data with known truth.",
    "preview": "Draw a pair of a data set: images, truth, profile.",
    "assess": "Tell how good a speckle pattern is.",
    "materials": "Print the optical constants of materials.",
    "setups": "List the setups, or print one as TOML.",
    "tune": "Find the number of sheets of sandpaper for some visibility.",
}

EXPECTED = (ValueError, TypeError, ArithmeticError, OSError, RuntimeError, MemoryError)


class Commands(click.Group):
    """Commands by name; errors of the library become one line and exit status 1.

    Parameters
    ----------
    package : str
        Where the commands live, one module each, with a function of the same name.
    summaries : mapping
        What each does, in a line; in the order in which they are listed.
    """

    def __init__(self, *args: Any, package: str, summaries: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package, self._summaries = package, summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._summaries)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._summaries:
            return None
        command: click.Command = getattr(import_module(f"{self._package}.{name}"), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self._summaries and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self._summaries, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            if isinstance(error, click.exceptions.Exit) or getattr(error, "errno", None) == errno.EPIPE:
                raise
            if is_verbose():
                traceback.print_exc()
            raise click.ClickException(one_line(error)) from error


def one_line(error: BaseException) -> str:
    """What an error says, and of which file."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


@click.group(
    cls=Commands,
    package="specksim.cli",
    summaries=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options("specksim", ("numpy", "scipy", "numba", "xraylib", "h5py", "hdf5plugin"))
def main() -> None:
    """Simulate X-ray speckle-based imaging, with exact ground truth.

    \b
    specksim generate --material nylon --n 150     writes nylon.h5
    specksim preview nylon.h5                      writes nylon.png
    """
