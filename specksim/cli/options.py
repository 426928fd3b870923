"""Options that several commands share."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
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


def load_setup(source: str, assignments: tuple[str, ...]) -> "Setup":
    """The setup that `--setup` and `--set` describe."""
    from specksim.setups import Setup

    return Setup.load(source).with_assignments(assignments)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
